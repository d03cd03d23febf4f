"""The bare loop: by hand what a pod's life asks of kube-apiserver, for a node that nobody serves.

The requests of a kubelet, or those of our virtual kubelet, with the same statuses and events in them, and the one watch
that no node can do without; what it does not do is everything else. Its rate is what kube-apiserver gives on these
cores to whom it costs nothing to make the requests.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from benchmarks.vk.cluster import AT_ONCE, Cluster, at_most, at_once
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.events.recorder import Events
from interlink.vk.pods.merge import replacement
from interlink.vk.pods.status import reported_status
from interlink.vk.times import now_seconds
from interlink.wire.messages import PodStatus

Json = dict[str, Any]
Life = Coroutine[Any, Any, None]
#: Is given the lives, and how many of them there will be at once; passes them on.
During = Callable[[Iterable[Life], int], Iterator[Life]]

PODS = "/api/v1/pods"
#: What the virtual kubelet tells of each pod that the mock plugin runs.
EVENTS = (
    ("Created", "Created job mock-00000000-0000-0000-0000-000000000000"),
    ("Created", "Created container: main"),
    ("Started", "Started container main"),
)


async def lives(cluster: Cluster, node: str, count: int, during: During, *, replacing: bool) -> None:
    """Live so many pods' lives on a node of this name, and write their events for as long as that takes.

    Statuses are patched, as a kubelet does, or replaced, as the virtual kubelet does; each life passes by ``during``.
    """
    events = Events(cluster.api, node)
    selector = {"fieldSelector": f"spec.nodeName={node}"}
    version = [version async for _, version in cluster.api.pages(PODS, selector)][-1]
    async with _beside(events.run()), _beside(_watch(cluster.api, {**selector, "resourceVersion": version})):
        every = (_life(cluster, events, f"{node}-{index}", replacing=replacing) for index in range(count))
        limit = at_most(AT_ONCE, count)
        await at_once(during(every, limit), limit)


async def _life(cluster: Cluster, events: Events, name: str, *, replacing: bool) -> None:
    document = cluster.pod(name)
    document["spec"]["nodeName"] = events.node_name
    pod = await cluster.api.post(cluster.pods, document)
    for reason, message in EVENTS:
        events.pod(pod, "Normal", reason, message)
    path, uid = f"{cluster.pods}/{pod['metadata']['name']}", pod["metadata"]["uid"]
    began = now_seconds()
    for ended in (False, True):
        status = reported_status(pod, _word(pod, began, ended), now_seconds())
        if replacing:
            del pod["metadata"]["managedFields"]
            pod = await cluster.api.put(f"{path}/status", replacement(pod, status))
        else:
            pod = await cluster.api.patch(f"{path}/status", {"metadata": {"uid": uid}, "status": status})
    await cluster.api.delete(path, uid=uid, grace_seconds=0)


def _word(pod: Json, began: str, ended: bool) -> PodStatus:
    """Return what the mock plugin says of a pod that runs, or has run."""
    state: Json = {"running": {"startedAt": began}}
    if ended:
        state = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": began, "finishedAt": now_seconds()}}
    container = {"name": "main", "state": state, "ready": not ended, "started": not ended, "restartCount": 0,
                 "image": "busybox", "imageID": "", "lastState": {}}  # fmt: skip
    metadata = pod["metadata"]
    return PodStatus(
        name=metadata["name"], UID=metadata["uid"], namespace=metadata["namespace"], containers=[container], ended=ended
    )


async def _watch(api: ApiServer, params: dict[str, str]) -> None:
    """Watch pods, as whoever serves a node does; what comes is not looked at. Raises ApiError."""
    async for _ in api.stream(PODS, {**params, "watch": "1", "timeoutSeconds": "3000"}, silence=3600):
        pass


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do something else for the time of the block; what it failed with is raised at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
