"""Logs that are followed, from the file on the shared folder to whoever asks kube-apiserver for them."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from interlink.vk.apiserver.access import from_kubeconfig
from tests.e2e.cluster import Cluster, container, pod
from tests.e2e.kubelet import OwnKubelet, drop_connections
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.errors import CommandError

FOLLOWERS = 200


@pytest.fixture
def kubelet(bed: Bed, tmp_path: Path) -> Iterator[OwnKubelet]:
    """A running virtual kubelet at an address where kube-apiserver finds it."""
    kubelet = OwnKubelet(bed, tmp_path, vkubelet_pod_ip=bed.network.gateway)
    with kubelet.running():
        wait_for("the node", lambda: bed.kubectl("get", "node", kubelet.node, "--ignore-not-found", "-o", "name"))
        yield kubelet
    kubelet.remove_node()


def start(cluster: Cluster, kubelet: OwnKubelet, script: str) -> str:
    """Start a pod, and return its UID once its log has begun."""
    cluster.apply(pod("talks", containers=[container(script)], nodeName=kubelet.node, nodeSelector={}))
    wait_for("the first line", lambda: lines(cluster), within=90)
    return str(cluster.pod("talks")["metadata"]["uid"])


def lines(cluster: Cluster) -> list[str]:
    try:
        return cluster.logs("talks").splitlines()
    except CommandError as error:
        # NotFound: the virtual kubelet has not heard of the pod yet.
        if not any(words in str(error) for words in ("waiting to start", "NotFound")):
            raise
        return []


@pytest.mark.parametrize("ahead", [-7200, 7200])
def test_a_follow_without_what_was_there_begins_at_the_end_whatever_the_clock_says(
    cluster: Cluster, kubelet: OwnKubelet, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + ahead))
    monkeypatch.setattr("interlink.vk.kubelet.logs.now_micros", lambda: moved)
    start(cluster, kubelet, "i=0; while true; do i=$((i + 1)); echo $i; sleep 0.2; done")
    before = int(lines(cluster)[-1])
    with cluster.follow("talks", "--tail=0") as reader:
        assert reader.stdout is not None
        numbers = [int(reader.stdout.readline()) for _ in range(5)]
        reader.kill()
        reader.communicate()
    assert before < numbers[0] <= before + 100, "neither what was there, nor hours later"
    assert numbers == list(range(numbers[0], numbers[0] + 5))


def test_a_follow_misses_no_line_where_the_log_goes_on_in_other_files(
    cluster: Cluster, bed: Bed, kubelet: OwnKubelet
) -> None:
    last, text = 200_000, "x" * 100
    uid = start(cluster, kubelet, f"echo 0; sleep 3; seq 1 {last} | sed 's/$/ {text}/'; sleep 1")
    with cluster.follow("talks") as reader:
        assert reader.stdout is not None
        expected = 0
        for line in reader.stdout:
            assert line == (f"{expected} {text}\n" if expected else "0\n")
            expected += 1
        assert reader.wait(30) == 0
    assert expected == last + 1
    files = bed.site(["sh", "-c", f"ls /srv/interlink/jobs/{uid}/logs"]).split()
    assert len(files) >= 3, files


def test_two_hundred_follow_one_log_and_free_it_when_they_hang_up(
    cluster: Cluster, bed: Bed, kubelet: OwnKubelet
) -> None:
    uid = start(cluster, kubelet, "while true; do date +%s; sleep 1; done")
    group = "/sys/fs/cgroup$(systemctl show --property=ControlGroup --value interlink-slurm)/cgroup.procs"
    opened = f"for pid in $(cat {group}); do ls -l /proc/$pid/fd; done | grep -c {uid}/logs || true"

    def count() -> int:
        return int(bed.site(["sh", "-c", opened]))

    assert count() == 0
    delays, held = asyncio.run(_follow(bed, cluster.namespace, count))
    print(f"a new line was with {FOLLOWERS} followers after {min(delays):.1f} to {max(delays):.1f} s")
    assert held == FOLLOWERS
    assert max(delays) < 15
    wait_for("the log to be let go of", count, lambda left: left == 0, within=30)


async def _follow(bed: Bed, namespace: str, count: Callable[[], int]) -> tuple[list[float], int]:
    """Follow until all have had a line; return how old the next line of each was, and what ``count`` gave meanwhile."""
    access = from_kubeconfig(bed.kubeconfig)
    url = f"{access.server}/api/v1/namespaces/{namespace}/pods/talks/log?follow=true&tailLines=0"
    enough = asyncio.Event()
    there = asyncio.Semaphore(0)

    async def follow(session: aiohttp.ClientSession) -> float:
        async with session.get(url, ssl=access.tls or False, headers=access.headers()) as answer:
            assert answer.status == 200, await answer.text()
            line = await answer.content.readline()
            there.release()
            while not enough.is_set():
                line = await answer.content.readline()
            return time.time() - int(line)

    limits = aiohttp.ClientTimeout(total=120)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=limits) as session, asyncio.TaskGroup() as group:
        following = [group.create_task(follow(session)) for _ in range(FOLLOWERS)]
        async with asyncio.timeout(90):
            for _ in following:
                await there.acquire()
        held = await asyncio.to_thread(count)
        enough.set()
    await drop_connections()
    return [each.result() for each in following], held
