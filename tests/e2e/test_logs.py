"""kubectl logs against a pod that is a Slurm job."""

import pytest

from tests.e2e.cluster import Cluster, container
from tests.e2e.waiting import wait_for
from tests.testbed.errors import CommandError


def test_a_followed_log_comes_line_by_line_and_ends_with_the_container(cluster: Cluster) -> None:
    cluster.start("talker", script="trap 'echo line 2; exit 0' TERM; echo line 1; while :; do sleep 0.1; done")
    cluster.wait_phase("talker", "Running")
    with cluster.follow("talker") as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "line 1\n", "it comes while the container goes on"
        cluster.kubectl("delete", "pod", "talker", "--wait=false")
        assert reader.stdout.read() == "line 2\n"
        assert reader.wait(timeout=30) == 0


def test_tail_timestamps_and_bytes_are_honoured(cluster: Cluster) -> None:
    cluster.start("lines", script="for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2")
    cluster.wait_phase("lines", "Succeeded")
    assert cluster.logs("lines", "--tail=2") == "line 5\noops\n"
    assert cluster.logs("lines", "--tail=0") == ""
    assert cluster.logs("lines", "--limit-bytes=6") == "line 1"
    stamp, text = cluster.logs("lines", "--tail=1", "--timestamps").split(" ", 1)
    assert text == "oops\n"
    assert stamp.startswith("20")
    assert stamp.endswith("Z")


def test_a_log_without_a_newline_at_its_end_is_complete(cluster: Cluster) -> None:
    cluster.start("partial", script="printf 'no newline'")
    cluster.wait_phase("partial", "Succeeded")
    assert cluster.logs("partial") == "no newline"


def test_an_unknown_container_is_refused_in_words(cluster: Cluster) -> None:
    cluster.start("known", script="true")
    cluster.wait_phase("known", "Succeeded")
    with pytest.raises(CommandError, match="container nobody is not valid for pod known"):
        cluster.logs("known", "-c", "nobody")


def test_a_container_that_has_not_started_is_a_bad_request_with_slurms_reason(cluster: Cluster) -> None:
    cluster.start("blocked", script="true", annotations={"slurm-job.vk.io/flags": "--partition=short --time=60"})

    def reason() -> str:
        return str(cluster.waiting("blocked").get("reason", ""))

    wait_for("Slurm's reason", reason, lambda seen: seen == "SlurmBlocked")
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/blocked/log"
    # kubectl logs -f itself asks again for a while.
    for words in (
        ("logs", "blocked"),
        ("get", "--raw", f"{path}?follow=true"),
        ("get", "--raw", f"{path}?tailLines=5"),
        ("logs", "blocked", "--tail=0"),
    ):
        with pytest.raises(CommandError, match=r'container "main" in pod "blocked" is waiting to start: SlurmBlocked'):
            cluster.kubectl(*words)
    with pytest.raises(CommandError, match=r"\(BadRequest\)"):
        cluster.logs("blocked")
    cluster.kubectl("delete", "pod", "blocked", "--wait=false")


def test_a_followed_log_goes_on_over_a_post_start_hook(cluster: Cluster) -> None:
    hook = {"postStart": {"exec": {"command": ["sleep", "4"]}}}
    script = "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 1; done"
    cluster.start("hooked", containers=[container(script, lifecycle=hook)])
    wait_for("the first line", lambda: _first_lines(cluster), within=90)
    with cluster.follow("hooked") as reader:
        assert reader.stdout is not None
        lines = [line.strip() for line in reader.stdout]
        assert reader.wait(timeout=30) == 0
    assert lines == [f"line {number}" for number in range(1, 9)]


def _first_lines(cluster: Cluster) -> str:
    try:
        return cluster.logs("hooked")
    except CommandError:
        return ""  # it has not started yet
