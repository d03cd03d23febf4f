"""The bare loop: by hand what a pod's life asks of kube-apiserver, for a node that nobody serves.

The same requests as the virtual kubelet's, with the same statuses and events in them, and the one watch that no node
can do without; what it does not do is everything else. Its rate is what kube-apiserver gives on these cores.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.vk.cluster import Cluster, at_once
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.events import Events
from interlink.vk.pods.status import reported_status
from interlink.vk.times import now_seconds
from interlink.wire.messages import PodStatus

Json = dict[str, Any]

#: What the virtual kubelet tells of each pod that the mock plugin runs.
EVENTS = (
    ("Created", "Created job mock-00000000-0000-0000-0000-000000000000"),
    ("Created", "Created container: main"),
    ("Started", "Started container main"),
)


async def lives(cluster: Cluster, node: str, count: int) -> None:
    """Live so many pods' lives on a node of this name, and write their events for as long as that takes."""
    events = Events(cluster.api, node)
    sender = asyncio.create_task(events.run())
    try:
        async with _watched(cluster.api, node):
            await at_once(_life(cluster, events, node, index) for index in range(count))
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


async def _life(cluster: Cluster, events: Events, node: str, index: int) -> None:
    document = cluster.pod(f"{node}-{index}")
    document["spec"]["nodeName"] = node
    pod = await cluster.api.post(cluster.pods, document)
    for reason, message in EVENTS:
        events.pod(pod, "Normal", reason, message)
    path, uid = f"{cluster.pods}/{pod['metadata']['name']}", pod["metadata"]["uid"]
    began = now_seconds()
    for ended in (False, True):
        status = reported_status(pod, _word(pod, began, ended), now_seconds())
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


@asynccontextmanager
async def _watched(api: ApiServer, node: str) -> AsyncIterator[None]:
    """Watch the node's pods meanwhile, as whoever serves it does; what comes is not looked at."""
    selector = {"fieldSelector": f"spec.nodeName={node}"}
    version = [version async for _, version in api.pages("/api/v1/pods", selector)][-1]

    async def watch() -> None:
        params = {**selector, "watch": "1", "resourceVersion": version, "timeoutSeconds": "3000"}
        async for _ in api.stream("/api/v1/pods", params, silence=3600):
            pass

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
