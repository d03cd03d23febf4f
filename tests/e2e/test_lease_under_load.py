"""The node's lease while kube-apiserver has all it can do: it is what keeps pods from being evicted."""

import asyncio
import itertools
import time
from datetime import datetime

from interlink.vk.apiserver.access import from_kubeconfig
from interlink.vk.apiserver.client import ApiServer
from tests.e2e.cluster import Cluster, pod
from tests.testbed.bed import Bed


def test_the_lease_is_renewed_in_time_while_kube_apiserver_has_all_it_can_do(cluster: Cluster, bed: Bed) -> None:
    """The deployed virtual kubelet's, whose requests have their FlowSchema; an administrator's flood has no limits."""
    made, renewals = asyncio.run(_flood(bed, cluster.namespace, seconds=40.0))
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(renewals)]
    print(f"{made} pods created in 40 s; {len(renewals)} renewals, the longest gap {max(gaps):.1f} s")
    assert made > 1000
    assert len(gaps) >= 2
    assert max(gaps) < 15


async def _flood(bed: Bed, namespace: str, seconds: float) -> tuple[int, list[datetime]]:
    """Create pods as fast as the server takes them, but for the last step; return how many, and the lease's times.

    A dry run costs the server all but the write, and leaves no thousands of pods to the tests that come after.
    """
    body = pod("x", script="true")
    end, made, renewals = time.monotonic() + seconds, 0, dict[datetime, None]()

    async def create(api: ApiServer, worker: int) -> None:
        nonlocal made
        while time.monotonic() < end:
            made += 1
            named = {**body, "metadata": {"name": f"flood-{worker}-{made}"}}
            await api.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", named)

    async with ApiServer(from_kubeconfig(bed.kubeconfig)) as api, ApiServer(from_kubeconfig(bed.kubeconfig)) as other:
        workers = [asyncio.create_task(create(api, worker)) for worker in range(64)]
        while time.monotonic() < end:
            lease = await other.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/interlink")
            renewals[datetime.fromisoformat(lease["spec"]["renewTime"])] = None
            await asyncio.sleep(0.2)
        await asyncio.gather(*workers)
    return made, list(renewals)
