"""What happens to containers becomes a kubelet's events, each once."""

from typing import Any

import pytest

from interlink.vk.pods.transitions import happenings
from interlink.wire.messages import ContainerEvent

Json = dict[str, Any]
FIELD = {"containerStatuses": "spec.containers{c}", "initContainerStatuses": "spec.initContainers{c}"}
POD: Json = {"metadata": {"name": "p", "namespace": "ns", "uid": "u-1"}, "spec": {}}


def status(state: Json, **more: Any) -> Json:
    return {"name": "c", "image": "busybox", "imageID": "", "restartCount": 0, "state": state, **more}


def waiting(reason: str, message: str = "", **more: Any) -> Json:
    return status({"waiting": {"reason": reason, "message": message}}, **more)


def running(restarts: int = 0, **more: Any) -> Json:
    found = {"imageID": "busybox@sha256:1", "restartCount": restarts, "containerID": f"slurm://7/c/{restarts}", **more}
    return status({"running": {"startedAt": "2026-01-01T00:00:00Z"}}, **found)


def crashed(message: str = "", **more: Any) -> Json:
    ended = {"exitCode": 137, "message": message, "startedAt": "2026-01-01T00:00:00Z", "containerID": "slurm://7/c/0"}
    found = {"imageID": "busybox@sha256:1", "containerID": "slurm://7/c/0", "lastState": {"terminated": ended}, **more}
    return waiting("CrashLoopBackOff", "back-off 10s restarting failed container=c pod=p_ns", **found)


PRESENT = ("Normal", "Pulled", 'Container image "busybox" already present on machine and can be accessed by the pod')
PULLING = waiting("ContainerCreating", "Pulling image busybox")
PROBE = "Container c failed liveness probe, will be restarted (Liveness probe failed: cat: no (such) file)"


@pytest.mark.parametrize(
    ("old", "new", "events"),
    [
        (waiting("SlurmPending"), PULLING, [("Normal", "Pulling", 'Pulling image "busybox"')]),
        (PULLING, PULLING, []),
        (
            PULLING,
            running(),
            [
                ("Normal", "Pulled", 'Successfully pulled image "busybox"'),
                ("Normal", "Created", "Created container: c"),
                ("Normal", "Started", "Started container c"),
            ],
        ),
        (
            waiting("SlurmPending"),
            running(),
            [
                PRESENT,
                ("Normal", "Created", "Created container: c"),
                ("Normal", "Started", "Started container c"),
            ],
        ),
        (running(), running(ready=True), []),
        (
            PULLING,
            waiting("ErrImagePull", "busybox: not found"),
            [
                ("Warning", "Failed", 'Failed to pull image "busybox": busybox: not found'),
                ("Warning", "Failed", "Error: ErrImagePull"),
            ],
        ),
        (
            waiting("ErrImagePull", "busybox: not found (tried again in 10 s)"),
            waiting("ImagePullBackOff", "busybox: not found (tried again in 20 s)"),
            [
                ("Normal", "BackOff", 'Back-off pulling image "busybox"'),
                ("Warning", "Failed", "Error: ImagePullBackOff"),
            ],
        ),
        (waiting("ImagePullBackOff", "20 s"), waiting("ImagePullBackOff", "40 s"), []),
        (
            waiting("SlurmPending"),
            waiting("ErrImageNeverPull", "not in the cache"),
            [("Warning", "ErrImageNeverPull", "not in the cache"), ("Warning", "Failed", "Error: ErrImageNeverPull")],
        ),
        (
            waiting("SlurmPending"),
            waiting("CreateContainerConfigError", "runs as root"),
            [("Warning", "Failed", "Error: runs as root")],
        ),
        (
            running(),
            crashed(),
            [("Warning", "BackOff", "Back-off restarting failed container c in pod p_ns(u-1)")],
        ),
        (crashed(), crashed(), []),
        (
            crashed(),
            running(1, lastState=crashed()["lastState"]),
            [PRESENT, ("Normal", "Created", "Created container: c"), ("Normal", "Started", "Started container c")],
        ),
        (
            running(),
            crashed(PROBE),
            [
                ("Warning", "Unhealthy", "Liveness probe failed: cat: no (such) file"),
                ("Normal", "Killing", "Container c failed liveness probe, will be restarted"),
                ("Warning", "BackOff", "Back-off restarting failed container c in pod p_ns(u-1)"),
            ],
        ),
        (
            waiting("ContainerCreating"),
            status({"terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}}),
            [("Warning", "Failed", "Error: no such file")],
        ),
        (
            running(),
            status(
                {"terminated": {"exitCode": 137, "message": "FailedPostStartHook: exit 1", "startedAt": "x"}},
                containerID="slurm://7/c/0", imageID="busybox@sha256:1",
            ),
            [("Warning", "FailedPostStartHook", "PostStartHook failed"), ("Normal", "Killing", "FailedPostStartHook")],
        ),
        # It came and went between two looks: that it ran is told all the same.
        (
            waiting("SlurmPending"),
            status({"terminated": {"exitCode": 0, "startedAt": "x"}}, containerID="slurm://7/c/0"),
            [("Normal", "Created", "Created container: c"), ("Normal", "Started", "Started container c")],
        ),
        # It never ran: its job was cancelled in the queue.
        (waiting("SlurmPending"), status({"terminated": {"exitCode": 137, "startedAt": None}}), []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["containerStatuses", "initContainerStatuses"])
def test_what_happens_is_told_in_the_kubelet_s_words(key: str, old: Json, new: Json, events: list[Any]) -> None:
    told = happenings(POD, {key: [old]}, {key: [new]})
    assert [(each.type, each.reason, each.message) for each in told] == events
    assert {(each.field, each.times) for each in told} <= {(FIELD[key], 1)}


def test_a_first_status_tells_of_what_it_shows() -> None:
    told = happenings(POD, {}, {"containerStatuses": [running(2)]})
    assert [each.reason for each in told] == ["Pulled", "Created", "Started"]


def counted(reason: str, message: str, times: int = 1, container: str = "c") -> tuple[ContainerEvent, int]:
    kind = "Normal" if reason in ("Killing", "Pulled") else "Warning"
    event = ContainerEvent(container=container, key=reason, type=kind, reason=reason, message=message, count=99)  # type: ignore[arg-type]
    return event, times


def test_what_a_plugin_has_counted_is_told_in_a_kubelet_s_order_and_as_often_as_it_was() -> None:
    own = [
        counted("Unhealthy", "Liveness probe failed: no", 3),
        counted("Killing", "Container c failed liveness probe, will be restarted"),
        counted("Pulled", 'Successfully pulled image "busybox" in 2s'),
        counted("Unhealthy", "of another container", 2, "d"),
    ]
    told = happenings(POD, {"containerStatuses": [PULLING]}, {"containerStatuses": [crashed(PROBE)]}, own)
    assert [(each.reason, each.message, each.times) for each in told] == [
        ("Pulled", 'Successfully pulled image "busybox" in 2s', 1),
        ("Created", "Created container: c", 1),
        ("Started", "Started container c", 1),
        ("Unhealthy", "Liveness probe failed: no", 3),
        ("Killing", "Container c failed liveness probe, will be restarted", 1),
        ("BackOff", "Back-off restarting failed container c in pod p_ns(u-1)", 1),
    ]


def test_what_a_plugin_counts_is_not_read_from_its_statuses_a_second_time() -> None:
    told = happenings(POD, {"containerStatuses": [running()]}, {"containerStatuses": [crashed(PROBE)]}, [])
    assert [each.reason for each in told] == ["BackOff"]


def test_a_failed_probe_is_told_while_nothing_changes_in_the_status() -> None:
    same = {"containerStatuses": [running()]}
    told = happenings(POD, same, same, [counted("Unhealthy", "Readiness probe failed: no", 7)])
    assert told == [("Warning", "Unhealthy", "Readiness probe failed: no", "spec.containers{c}", 7)]
