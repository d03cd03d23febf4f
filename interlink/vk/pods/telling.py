"""What a status that was written has to be told as events: the containers', and the site's own.

Called by ``controller.py`` and ``ending.py`` after each status that they have brought into the API.
"""

from typing import Any

from interlink.vk.pods import resize
from interlink.vk.pods.context import Context
from interlink.vk.pods.decision import Memory
from interlink.vk.pods.transitions import FIELDS, Counted, field_path, happenings
from interlink.wire.messages import PodStatus

Json = dict[str, Any]


def tell(context: Context, pod: Json, memory: Memory, desired: Json, status: PodStatus) -> None:
    """Write what has happened from the status that the pod has, in ``pod``, to the desired one."""
    old = pod.get("status") or {}
    for happening in happenings(pod, old, desired, _counted(memory, status)):
        kind, reason, message, field, times = happening
        context.events.pod(pod, kind, reason, message, field=field, count=times)
    if resize.is_news(old, desired):
        context.events.pod(pod, "Warning", "ResizeInfeasible", resize.message(pod))


def tell_kills(context: Context, pod: Json) -> None:
    """Say of each container that runs that it is being stopped, as a kubelet does when it begins to end a pod."""
    status = pod.get("status") or {}
    for key, field in FIELDS.items():
        for container in status.get(key) or []:
            if "running" in (container.get("state") or {}):
                name = container["name"]
                words = f"Stopping container {name}"
                context.events.pod(pod, "Normal", "Killing", words, field=field_path(field, name))


def tell_site(context: Context, pod: Json, memory: Memory, status: PodStatus, *, news: bool) -> None:
    """Write the site's event, once for each key; what an earlier process of ours has shown already is no news."""
    event = status.event
    if event is None:
        return
    known = memory.told is None and memory.submitted is None and not news
    memory.told = memory.told or set()
    if event.key in memory.told:
        return
    memory.told.add(event.key)
    if not known:
        context.events.pod(pod, event.type, event.reason, event.message)


def _counted(memory: Memory, status: PodStatus) -> Counted | None:
    """Return what the plugin has counted since the last look, None where it does not count.

    The first look of a process at a pod that it has not sent is no news: an earlier one has told it. A count that has
    shrunk was begun anew.
    """
    first = memory.counted is None
    memory.counted = known = memory.counted or {}
    if status.containerEvents is None:
        return None
    added: Counted = []
    for event in status.containerEvents:
        before = known.get((event.container, event.key), 0)
        known[event.container, event.key] = event.count
        since = event.count - before if event.count >= before else event.count
        if since and not (first and memory.submitted is None):
            added.append((event, since))
    return added
