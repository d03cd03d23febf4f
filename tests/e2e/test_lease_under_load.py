"""Nodes' leases while kube-apiserver has all it can do: they are what keeps pods from being evicted."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from interlink.vk.apiserver.access import from_kubeconfig
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import RetryError
from tests.e2e.cluster import Cluster, pod
from tests.e2e.kubelet import OwnKubelet
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
SECONDS, WORKERS = 40.0, 32


@pytest.fixture
def anybody(cluster: Cluster, bed: Bed, tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of a service account that may do all, and that no FlowSchema but the general one knows."""
    name = f"{cluster.namespace}-anybody"
    cluster.kubectl("create", "serviceaccount", "anybody")
    subject = f"--serviceaccount={cluster.namespace}:anybody"
    bed.kubectl("create", "clusterrolebinding", name, "--clusterrole=cluster-admin", subject)
    document = yaml.safe_load(bed.kubeconfig.read_text())
    token = cluster.kubectl("create", "token", "anybody").strip()
    document["users"] = [{"name": user["name"], "user": {"token": token}} for user in document["users"]]
    path = tmp_path / "anybody"
    path.touch(0o600)
    path.write_text(yaml.safe_dump(document))
    yield path
    bed.kubectl("delete", "clusterrolebinding", name, "--ignore-not-found")


def test_leases_are_renewed_in_time_while_kube_apiserver_has_all_it_can_do(
    cluster: Cluster, bed: Bed, anybody: Path, tmp_path: Path
) -> None:
    """The deployed virtual kubelet's, whose requests have their FlowSchema, and one's that has none.

    Half of the flood is an administrator's, which has no limits, and half is of the priority level of that second one.
    """
    own = OwnKubelet(bed, tmp_path)
    own.change(kubeconfig=anybody)
    try:
        with own.running():
            found = ["get", "lease", "-n", "kube-node-lease", own.node, "--ignore-not-found", "-o", "name"]
            wait_for("its lease", lambda: bed.kubectl(*found))
            made, renewals = asyncio.run(_flood(bed, anybody, cluster.namespace, ("interlink", own.node)))
    finally:
        own.remove_node()
    assert made > 1000
    for name, times in renewals.items():
        gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]
        print(f"{made} pods created in {SECONDS:.0f} s; {name}: the longest gap {max(gaps):.1f} s")
        assert len(gaps) >= 3, name
        assert max(gaps) < 15, name


async def _flood(
    bed: Bed, anybody: Path, namespace: str, nodes: tuple[str, ...]
) -> tuple[int, dict[str, list[datetime]]]:
    """Create pods as fast as the server takes them, but for the last step.

    Return how many, and when each lease was renewed, the end at last. A dry run costs the server all but the write, and
    leaves no thousands of pods to the tests that come after.
    """
    body = pod("x", script="true")
    end, made = time.monotonic() + SECONDS, 0
    renewals: dict[str, dict[datetime, None]] = {node: {} for node in nodes}

    async def create(api: ApiServer, worker: str) -> None:
        nonlocal made
        while time.monotonic() < end:
            named = {**body, "metadata": {"name": f"flood-{worker}-{made}"}}
            try:
                await api.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", named)
            except RetryError:
                continue  # its level is full, which is what this is about
            made += 1

    accesses = [from_kubeconfig(path) for path in (bed.kubeconfig, anybody, bed.kubeconfig)]
    async with ApiServer(accesses[0]) as admin, ApiServer(accesses[1]) as other, ApiServer(accesses[2]) as witness:
        workers = [
            asyncio.create_task(create(api, f"{name}{number}"))
            for name, api in (("admin", admin), ("anybody", other))
            for number in range(WORKERS)
        ]
        while time.monotonic() < end:
            for node in nodes:
                lease = await witness.get(f"{LEASES}/{node}")
                renewals[node][datetime.fromisoformat(lease["spec"]["renewTime"])] = None
            await asyncio.sleep(0.2)
        over = datetime.now(UTC)
        await asyncio.gather(*workers)
    return made, {node: [*times, over] for node, times in renewals.items()}
