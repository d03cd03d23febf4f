"""The steps of a pod's beginning: let in or refused, gathered, sent to the edge; what it waits for is in its status.

Called by ``controller.py`` when ``decision.py`` says so. Invariants: what may come right by itself (a ConfigMap that is
missing, a full site, an edge that is away) never fails a pod; a refusal is said once, in its own words.
"""

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from interlink.core.errors import UnsupportedPod
from interlink.vk.edge.errors import AwayError, BusyError, DeletedError, RefusedError
from interlink.vk.events.note import as_message
from interlink.vk.gather import NotReadyError, References
from interlink.vk.objects import fetch
from interlink.vk.pods import resize
from interlink.vk.pods.addresses import with_address
from interlink.vk.pods.admission import Refusal
from interlink.vk.pods.context import Context
from interlink.vk.pods.decision import Memory
from interlink.vk.pods.entrance import IGNORED
from interlink.vk.pods.queue import RetryLater
from interlink.vk.pods.record import PodRecord
from interlink.vk.pods.request import ContainersNotReadyError, create_request
from interlink.vk.pods.status import rejected_status, waiting_status
from interlink.vk.pods.unsupported import refuse_sources
from interlink.vk.times import now_seconds
from interlink.vk.volumes.contents import Contents, Volumes

if TYPE_CHECKING:
    from interlink.vk.volumes.updates import PodUpdates

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: The shortest time between two looks at a reference that is missing, in seconds.
MISSING_SECONDS = 1.0


class _Gathered(NamedTuple):
    """A pod as it is in the API, the create request that was made of it, and its volumes' contents."""

    pod: Json
    request: Json
    contents: list[Contents]


async def create(context: Context, updates: "PodUpdates", record: PodRecord, memory: Memory) -> None:
    """Send the pod to the edge, or say in its status why it waits or has failed. Raises RetryLater and ApiError."""
    if not context.services.known:
        raise RetryLater("the cluster's Services have not been listed yet")
    pod = record.load()
    if context.closed():
        # kubelet's own reason and words for a pod that comes while its node shuts down.
        refusal = Refusal("NodeShutdown", "Pod was rejected as the node is shutting down.")
        await _turn_away(context, record, pod, refusal)
        return
    if refused := await context.entrance.refusal(pod):
        await _turn_away(context, record, pod, refused)
        return
    try:
        gathered = await _gather(context, record, pod)
    except UnsupportedPod as error:
        await _reject(context, record, pod, "UnsupportedPod", str(error))
    else:
        await _send(context, updates, record, memory, gathered)


async def _send(
    context: Context, updates: "PodUpdates", record: PodRecord, memory: Memory, gathered: _Gathered
) -> None:
    pod, request, contents = gathered
    newest = context.store.get(record.uid)
    if newest is None or newest.deleting:
        updates.look(record.uid)
        return  # it went away meanwhile, and its news are in the queue
    # An earlier attempt may have arrived, and then the pod shows what was in that one.
    first, memory.attempted = not memory.attempted, True
    updates.sending(record, contents)
    try:
        reply = await context.edge.create(request)
    except RefusedError as error:
        await _reject(context, record, pod, error.reason, str(error))
    except BusyError as error:
        memory.attempted = not first  # nothing came of this one
        await _wait_for_place(context, record, pod, memory, error)
        raise RetryLater(str(error), error.retry_after) from error
    except DeletedError as error:
        await _reject(context, record, pod, "Deleted", f"the edge has deleted this pod: {error}")
    except AwayError:
        updates.doubt(record.uid)
        raise
    else:
        memory.submitted = time.monotonic()
        memory.sent = resize.asked(pod["spec"])
        memory.told_away = False
        log.info("pod %s: job %s", record, reply.PodJID)
        context.events.pod(pod, "Normal", "Created", f"Created job {reply.PodJID}")
        if missing := _missing_pull_secrets(pod, request):
            words = f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
            words += "attempting to pull the image may not succeed."
            context.events.pod(pod, "Warning", "FailedToRetrieveImagePullSecret", words)
        if reply.warnings:
            context.events.pod(pod, "Warning", "FieldIgnored", as_message(reply.warnings))
        if first:
            updates.sent(record.uid)
        else:
            updates.doubt(record.uid)


def _missing_pull_secrets(pod: Json, request: Json) -> list[str]:
    """Return the names of the pod's imagePullSecrets that there are none of; a kubelet goes on without them, too."""
    found = {secret["metadata"]["name"] for secret in request["imagePullSecrets"]}
    names = dict.fromkeys(item.get("name") or "" for item in pod["spec"].get("imagePullSecrets") or ())
    return [name for name in names if name and name not in found]


async def _gather(context: Context, record: PodRecord, pod: Json) -> _Gathered:
    """Return what is sent; where something is missing, say so and look again later. Raises UnsupportedPod."""
    refuse_sources(pod)
    links = pod["spec"].get("enableServiceLinks") is not False
    services = context.services.variables(record.namespace, links=links)
    references = References(partial(fetch, context.api), record.namespace)
    # The copy that is changed; a plugin that takes the token is told where an address is asked for.
    shown = with_address(record.load()) if context.link.has_address else record.load()
    volumes = Volumes(context.sources, shown, references, context.allocatable())
    try:
        made = await create_request(volumes, context.book.cluster, services, context.place())
    except ContainersNotReadyError as error:
        problems = {name: ("CreateContainerConfigError", words) for name, words in error.problems.items()}
        context.events.pod(pod, "Warning", "Failed", f"Error: {error}")
        await _hold(context, record, pod, problems)
        raise RetryLater(str(error), MISSING_SECONDS) from error
    except NotReadyError as error:
        context.events.pod(pod, "Warning", "FailedMount", str(error))
        await _hold(context, record, pod, {})
        raise RetryLater(str(error), MISSING_SECONDS) from error
    return _Gathered(pod, *made)


async def _hold(context: Context, record: PodRecord, pod: Json, problems: dict[str, tuple[str, str]]) -> bool:
    """Say in its status why the pod does not come to the edge yet; it stays Pending. Returns whether that is news."""
    return bool(await context.writer.write(record, pod, waiting_status(pod, problems, now_seconds())))


async def _wait_for_place(context: Context, record: PodRecord, pod: Json, memory: Memory, error: BusyError) -> None:
    """Have the containers wait in the site's words; each of these is an event once."""
    memory.told, memory.told_away = memory.told or set(), False
    if str(error) not in memory.told:
        memory.told.add(str(error))
        context.events.pod(pod, "Normal", error.reason, str(error))
    waits = (error.reason, str(error))
    await _hold(context, record, pod, {item["name"]: waits for item in pod["spec"]["containers"]})


async def _turn_away(context: Context, record: PodRecord, pod: Json, refusal: Refusal) -> None:
    """Fail a pod that the node does not take, in the kubelet's words; one that is ignored waits for ever."""
    if refusal.reason == IGNORED:
        waits = (refusal.reason, refusal.message)
        if await _hold(context, record, pod, {item["name"]: waits for item in pod["spec"]["containers"]}):
            context.events.pod(pod, "Warning", refusal.reason, refusal.message)
        return
    log.info("pod %s: %s: %s", record, refusal.reason, refusal.message)
    context.events.pod(pod, "Warning", refusal.reason, refusal.message)
    words = f"Pod was rejected: {refusal.message}"
    await context.writer.write(record, pod, rejected_status(pod, refusal.reason, words, now_seconds()))


async def _reject(context: Context, record: PodRecord, pod: Json, reason: str, words: str) -> None:
    log.info("pod %s: %s: %s", record, reason, words)
    context.events.pod(pod, "Warning", "FailedCreate", words)
    await context.writer.write(record, pod, rejected_status(pod, reason, words, now_seconds()))
