"""What has happened to a pod's containers between two of its statuses, as the events that a kubelet writes of it.

Pure; called by ``controller.py`` after each status that it wrote, so that nothing is told twice, by whichever process:
what the API held before is what was told before. Source of reasons and words: kubelet's pkg/kubelet/events and its
kuberuntime and image managers. The pod runner's own words, from which pulls and probes are known, are those of
``runner/images/image.py``, ``runner/probes.py`` and ``runner/container.py``.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Json = dict[str, Any]

_LISTS = ("initContainerStatuses", "containerStatuses")
_PULLING = "Pulling image "
#: The runner's word on a container that it ended for a probe; in brackets what the probe said.
_PROBE = re.compile(
    r"(?P<end>Container .{1,253} failed (?:liveness|startup) probe, will be restarted) \((?P<said>.*)\)", re.S
)
_HOOK = "FailedPostStartHook: "


class Happening(NamedTuple):
    """One event to write: its type, reason and message."""

    type: str
    reason: str
    message: str


def happenings(pod: Json, old: Json, new: Json) -> list[Happening]:
    """Return what has happened to the pod's containers from one v1.PodStatus to the next, in the order of the spec."""
    found: list[Happening] = []
    for key in _LISTS:
        before = {status["name"]: status for status in old.get(key) or []}
        for status in new.get(key) or []:
            found += _of_container(pod, before.get(status["name"]) or {}, status)
    return found


def _of_container(pod: Json, old: Json, new: Json) -> Iterator[Happening]:
    yield from _of_image(old, new)
    if _run(new) and _run(new) != _run(old):
        yield Happening("Normal", "Created", f"Created container: {new['name']}")
        yield Happening("Normal", "Started", f"Started container {new['name']}")
    ended = _end(new)
    if ended and ended != _end(old):
        yield from _of_end(ended)
    waits, waited = _waiting(new), _waiting(old)
    if waits.get("reason") != waited.get("reason") or _end(new) != _end(old):
        yield from _of_waiting(pod, new, waits)


def _of_image(old: Json, new: Json) -> Iterator[Happening]:
    """Tell of pulls; one that came and went between two reports is not known to have been one."""
    image, waits, waited = new.get("image") or "", _waiting(new), _waiting(old)
    if _pulls(waits) and not _pulls(waited):
        yield Happening("Normal", "Pulling", f'Pulling image "{image}"')
    if new.get("imageID") and not old.get("imageID"):
        pulled = _pulls(waited) or waited.get("reason") in ("ErrImagePull", "ImagePullBackOff")
        words = (
            f'Successfully pulled image "{image}"' if pulled else f'Container image "{image}" is present on the node'
        )
        yield Happening("Normal", "Pulled", words)


def _of_end(ended: Json) -> Iterator[Happening]:
    message = ended.get("message") or ""
    probe = _PROBE.search(message)
    if probe:
        yield Happening("Warning", "Unhealthy", probe["said"])
        yield Happening("Normal", "Killing", probe["end"])
    elif _HOOK in message:
        yield Happening("Warning", "FailedPostStartHook", message.partition(_HOOK)[2])
    elif ended.get("reason") == "StartError":
        yield Happening("Warning", "Failed", f"Error: {message}")


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
        yield Happening("Normal", "BackOff", f'Back-off pulling image "{image}": {message}')
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
