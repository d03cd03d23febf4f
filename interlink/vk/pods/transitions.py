"""What has happened to a pod's containers between two of its statuses, as the events that a kubelet writes of it.

Pure; called by ``telling.py`` after each status that was written, so that nothing is told twice, by whichever process:
what the API held before is what was told before. Source of reasons and words: kubelet's pkg/kubelet/events and its
kuberuntime and image managers; of Created and Started those up to 1.34, which name the container to every kubectl.
What statuses do not show a plugin of ours counts (``ContainerEvent``); of another one, or a job that began under an
older program, pulls and probes are read from the pod runner's words in the statuses: those of
``runner/images/image.py``, ``runner/probes.py`` and ``runner/container.py``.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from interlink.wire.messages import ContainerEvent

Json = dict[str, Any]

#: Lists of statuses, and where the spec has their containers: an event says so in its fieldPath, as a kubelet's.
FIELDS = {"initContainerStatuses": "spec.initContainers", "containerStatuses": "spec.containers"}
_PULLING = "Pulling image "
#: The runner's word on a container that it ended for a probe; in brackets what the probe said.
_PROBE = re.compile(
    r"(?P<end>Container .{1,253} failed (?:liveness|startup) probe, will be restarted) \((?P<said>.*)\)", re.S
)
_HOOK = "FailedPostStartHook: "
_PRESENT = 'Container image "{}" already present on machine and can be accessed by the pod'


#: What a plugin has counted: each event with how often it has happened since the last look.
Counted = list[tuple[ContainerEvent, int]]


class Happening(NamedTuple):
    """One event to write: its type, reason and message, which part of the pod it is about, and how often it was so."""

    type: str
    reason: str
    message: str
    field: str = ""
    times: int = 1


def happenings(pod: Json, old: Json, new: Json, counted: Counted | None = None) -> list[Happening]:
    """Return what has happened to the pod's containers from one v1.PodStatus to the next, in the order of the spec.

    ``counted`` None: the plugin does not tell what statuses do not show.
    """
    found: list[Happening] = []
    for key, field in FIELDS.items():
        before = {status["name"]: status for status in old.get(key) or []}
        for status in new.get(key) or []:
            name = status["name"]
            own = None if counted is None else [entry for entry in counted if entry[0].container == name]
            of_container = _of_container(pod, before.get(name) or {}, status, own)
            found += [happening._replace(field=field_path(field, name)) for happening in of_container]
    return found


def field_path(field: str, name: str) -> str:
    """Return the fieldPath of a container, by which kubectl shows which one an event is about."""
    return f"{field}{{{name}}}"


def _of_container(pod: Json, old: Json, new: Json, counted: Counted | None) -> Iterator[Happening]:
    told = [Happening(event.type, event.reason, event.message, times=times) for event, times in counted or ()]
    pulled = [happening for happening in told if happening.reason == "Pulled"]
    yield from _of_image(old, new, pulled)
    if _run(new) and _run(new) != _run(old):
        yield Happening("Normal", "Created", f"Created container: {new['name']}")
        yield Happening("Normal", "Started", f"Started container {new['name']}")
    yield from (happening for happening in told if happening not in pulled)
    ended = _end(new)
    if ended and ended != _end(old):
        yield from _of_end(ended, probes=counted is None)
    waits, waited = _waiting(new), _waiting(old)
    if waits.get("reason") != waited.get("reason") or _end(new) != _end(old):
        yield from _of_waiting(pod, new, waits)


def _of_image(old: Json, new: Json, pulled: list[Happening]) -> Iterator[Happening]:
    """Tell of pulls, and before each run that the image is there, as a kubelet looks for it each time."""
    image, waits, waited = new.get("image") or "", _waiting(new), _waiting(old)
    if _pulls(waits) and not _pulls(waited):
        yield Happening("Normal", "Pulling", f'Pulling image "{image}"')
    if pulled:
        yield from pulled
    elif new.get("imageID") and not old.get("imageID"):
        was_away = _pulls(waited) or waited.get("reason") in ("ErrImagePull", "ImagePullBackOff")
        words = f'Successfully pulled image "{image}"' if was_away else _PRESENT.format(image)
        yield Happening("Normal", "Pulled", words)
    elif new.get("imageID") and _run(new) and _run(new) != _run(old) and _run(old):
        yield Happening("Normal", "Pulled", _PRESENT.format(image))


def _of_end(ended: Json, *, probes: bool) -> Iterator[Happening]:
    message = ended.get("message") or ""
    probe = _PROBE.search(message)
    if ended.get("reason") == "StartError":
        yield Happening("Warning", "Failed", f"Error: {message}")
    elif probe and probes:
        yield Happening("Warning", "Unhealthy", probe["said"])
        yield Happening("Normal", "Killing", probe["end"])
    elif _HOOK in message and probes:
        # Not what the hook said: the kubelet keeps that out of events, for there may be secrets in it.
        yield Happening("Warning", "FailedPostStartHook", "PostStartHook failed")
        yield Happening("Normal", "Killing", "FailedPostStartHook")


def _of_waiting(pod: Json, status: Json, waits: Json) -> Iterator[Happening]:
    reason, message, image = waits.get("reason"), waits.get("message") or "", status.get("image") or ""
    if reason == "CrashLoopBackOff":
        metadata = pod["metadata"]
        name = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        yield Happening("Warning", "BackOff", f"Back-off restarting failed container {status['name']} in pod {name}")
    elif reason == "ErrImagePull":
        yield Happening("Warning", "Failed", f'Failed to pull image "{image}": {message}')
        yield Happening("Warning", "Failed", "Error: ErrImagePull")
    elif reason == "ImagePullBackOff":
        yield Happening("Normal", "BackOff", f'Back-off pulling image "{image}"')
        yield Happening("Warning", "Failed", "Error: ImagePullBackOff")
    elif reason == "ErrImageNeverPull":
        yield Happening("Warning", "ErrImageNeverPull", message)
        yield Happening("Warning", "Failed", "Error: ErrImageNeverPull")
    elif reason == "InvalidImageName":
        yield Happening("Warning", "InspectFailed", f'Failed to apply default image tag "{image}": {message}')
        yield Happening("Warning", "Failed", "Error: InvalidImageName")
    elif reason == "CreateContainerConfigError":
        yield Happening("Warning", "Failed", f"Error: {message}")


def _state(status: Json, kind: str) -> Json:
    found: Json = (status.get("state") or {}).get(kind) or {}
    return found


def _waiting(status: Json) -> Json:
    return _state(status, "waiting")


def _pulls(waits: Json) -> bool:
    return str(waits.get("message") or "").startswith(_PULLING)


def _run(status: Json) -> tuple[str, int] | None:
    """Return what tells one run of a container from the others, None where it has not run."""
    state = status.get("state") or {}
    ran = "running" in state or (
        _ran(state.get("terminated")) or _ran((status.get("lastState") or {}).get("terminated"))
    )
    return (status.get("containerID") or "", int(status.get("restartCount") or 0)) if ran else None


def _ran(terminated: Json | None) -> bool:
    return bool(terminated and terminated.get("startedAt"))


def _end(status: Json) -> Json:
    """Return the newest end of the container, empty where it has not ended yet."""
    return _state(status, "terminated") or (status.get("lastState") or {}).get("terminated") or {}
