"""The steps of a pod's end: cancel the job, wait for the edge's word, patch the last status, remove the object.

Called by ``controller.py`` when ``decision.py`` says so. Invariant: a job is ended only for a pod that is being
deleted, is over, or was seen to be missing by a fresh look at the API; an object is removed only with its own UID.
"""

import logging
import time
from typing import Any

from interlink.vk.apiserver.errors import ConflictError, NotFoundError
from interlink.vk.objects import is_name
from interlink.vk.pods.context import Context
from interlink.vk.pods.decision import GONE, Memory
from interlink.vk.pods.record import PodRecord, pod_path
from interlink.vk.pods.request import mark
from interlink.vk.pods.status import NOTHING, final_status, reported_status
from interlink.vk.pods.telling import tell, tell_kills
from interlink.vk.times import now_seconds
from interlink.wire.messages import PodStatus

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: How long a pod that ran may be unknown to the edge before it counts as lost.
LOST_SECONDS = 60.0
#: The shortest time between two DELETEs of one object (a finalizer may hold it for hours).
DELETE_SECONDS = 60.0
#: How long to wait for a watch that is behind a fresh look.
LAG_SECONDS = 5.0


async def cancel(context: Context, record: PodRecord, memory: Memory) -> float:
    """Tell the edge to end the pod, with the grace period that holds now."""
    pod = record.load()
    log.info("pod %s: ending its job, grace period %s s", record, record.grace)
    await context.edge.delete(mark(pod, context.book.cluster))
    if memory.cancelled is None and not record.terminal:
        tell_kills(context, pod)
    memory.cancelled = (record.deleting, record.grace)
    memory.unknown_to_edge = False
    return 0.0


async def ask(context: Context, record: PodRecord, memory: Memory) -> float:
    """Ask whether the edge knows the pod, after it has noted the deletion."""
    memory.unknown_to_edge = not await _known_to_edge(context, record)
    return 0.0


async def remove(context: Context, record: PodRecord, memory: Memory, status: PodStatus | None) -> float | None:
    """Patch the last status, then remove the object; a finalizer's owner is not pressed."""
    if not record.terminal:
        pod, now = record.load(), now_seconds()
        sent = memory.sent or NOTHING
        desired = reported_status(pod, status, now, sent) if status else final_status(pod, "", "", now)
        if await context.writer.write(record, pod, desired) is None:
            return None
        if status:
            tell(context, pod, memory, desired, status)
    if record.grace == 0 and record.finalizers:
        return None
    now_monotonic = time.monotonic()
    if memory.removed is None and record.grace == 0:
        # Somebody's deletion without a grace period: kube-apiserver is about to remove the object by itself.
        memory.removed = now_monotonic - DELETE_SECONDS + LAG_SECONDS
        return LAG_SECONDS
    if memory.removed is not None and now_monotonic - memory.removed < DELETE_SECONDS:
        return DELETE_SECONDS
    memory.removed = now_monotonic
    try:
        await context.api.delete(record.path, uid=record.uid, grace_seconds=0)
        log.info("pod %s: removed, its job has ended", record)
    except (NotFoundError, ConflictError) as error:
        log.info("pod %s: was removed already: %s", record, error)
    except Exception:
        memory.removed = None
        raise
    return DELETE_SECONDS


async def end_orphan(context: Context, uid: str, memory: Memory, status: PodStatus | None) -> float | None:
    """Tell the edge of a pod whose object is gone, after the API has said so: in the watch, or to a fresh look."""
    gone = context.store.gone.get(uid)
    if gone:
        namespace, name = gone.namespace, gone.name
    elif status:
        namespace, name = status.namespace, status.name
    else:
        return None
    if not is_name(namespace) or not is_name(name):
        log.error("pod %s: the edge knows no name of it (%r/%r), so its job is left alone", uid, namespace, name)
        return None
    if uid not in context.store.removed and await _is_there(context, namespace, name, uid):
        return LAG_SECONDS
    log.info("pod %s/%s (%s): is gone from the API; telling the edge", namespace, name, uid)
    pod = gone.load() if gone else _minimal_pod(namespace, name, uid, context.book.node_name)
    await context.edge.delete(mark(pod, context.book.cluster))
    memory.cancelled = GONE
    return 0.0


async def lose(context: Context, record: PodRecord, memory: Memory) -> float | None:
    """Mark a pod Failed that ran and that the edge does not know, once it had time to remember."""
    now = time.monotonic()
    if memory.lost_since is None:
        log.warning("pod %s: ran, and the edge does not know it; waiting %.0f s", record, LOST_SECONDS)
        memory.lost_since = now
    if now - memory.lost_since < LOST_SECONDS:
        return LOST_SECONDS - (now - memory.lost_since)
    if await _known_to_edge(context, record):
        return 0.0
    pod = record.load()
    words = "The pod was running, and the site knows no job of it any more"
    context.events.pod(pod, "Warning", "NotFound", words)
    await context.writer.write(record, pod, final_status(pod, "NotFound", words, now_seconds()))
    return None


async def _is_there(context: Context, namespace: str, name: str, uid: str) -> bool:
    try:
        found = await context.api.get(pod_path(namespace, name))
    except NotFoundError as error:
        if error.reason != "NotFound":
            raise  # a proxy's word, not the API's
        return False
    return bool(found["metadata"]["uid"] == uid)


async def _known_to_edge(context: Context, record: PodRecord) -> bool:
    statuses = await context.edge.statuses([mark(record.load(), context.book.cluster)])
    for status in statuses:
        if record.uid == status.UID:
            if context.book.get(record.uid) is None:
                context.book.put(status)
            return True
    return False


def _minimal_pod(namespace: str, name: str, uid: str, node_name: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "uid": uid},
        "spec": {"containers": [], "nodeName": node_name},
    }
