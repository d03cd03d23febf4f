"""A backend that only pretends: the fake beside the Backend interface, held to the same contract tests.

For trying a cluster's side without a site, for tests of the InterLink API and for benchmarks of the virtual kubelet.
A pod runs as soon as it is created; with the annotation RUN_SECONDS it ends by itself after so many seconds, each
container with the exit code of the annotation EXIT_CODE.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from interlink.sidecars.backend import Deleted, NotFound
from interlink.sidecars.changes import ChangeJournal
from interlink.wire.messages import (
    CLUSTER_ANNOTATION,
    EXTENSION_CHANGES,
    EXTENSION_UPDATE,
    Changes,
    CreateReply,
    LogRequest,
    PingReply,
    PodStatus,
    Resources,
    RetrievedPodData,
)
from interlink.wire.pod import Pod

RUN_SECONDS = "mock.interlink.io/run-seconds"
EXIT_CODE = "mock.interlink.io/exit-code"
#: 128 + SIGTERM, what a container that was asked to end reports.
TERMINATED = 143


class MockBackend:
    """Pods in a dictionary."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pods: dict[str, Pod] = {}
        self._started: dict[str, str] = {}
        self._deleted: set[str] = set()
        self._timers: dict[str, threading.Timer] = {}
        self._journal = ChangeJournal()

    def create(self, request: RetrievedPodData) -> CreateReply:
        """Let the pod run."""
        pod = request.pod
        with self._lock:
            if pod.uid in self._deleted:
                raise Deleted(f"pod {pod} was deleted before it was created")
            if pod.uid not in self._pods:
                self._pods[pod.uid] = pod
                self._started[pod.uid] = _now()
                self._journal.publish([self._status(pod, None)])
                self._set_timer(pod)
        return CreateReply(PodUID=pod.uid, PodJID=f"mock-{pod.uid}")

    def update(self, request: RetrievedPodData) -> None:
        """Take the newer contents, which nobody reads."""
        with self._lock:
            if request.pod.uid not in self._started:
                raise NotFound(f"pod {request.pod} does not run here")

    def delete(self, pod: Pod) -> None:
        """End the pod at once."""
        with self._lock:
            self._deleted.add(pod.uid)
            if timer := self._timers.pop(pod.uid, None):
                timer.cancel()
        self._end(pod.uid, TERMINATED)

    def statuses(self, pods: Iterable[Pod]) -> list[PodStatus]:
        """Return the statuses of the known ones."""
        wanted = {pod.uid for pod in pods}
        return [status for status in self._journal.after(None, 0).statuses if status.UID in wanted]

    def changes(self, after: str | None, wait: float) -> Changes:
        """Return what changed."""
        return self._journal.after(after, wait)

    def logs(self, request: LogRequest) -> Iterator[bytes]:
        """Yield one line that says whose log this is."""
        pod = self._pods.get(request.PodUID)
        if pod is None or request.ContainerName not in {container.name for container in pod.spec.containers}:
            raise NotFound(f"no container {request.ContainerName} in a pod {request.PodUID} here")
        yield f"this is the log of {request.ContainerName} in {request.Namespace}/{request.PodName}\n".encode()

    def ping(self, partitions: Sequence[str] = (), flavors: Sequence[str] = ()) -> PingReply:
        """Offer a site of some size, and any part of it as large as the whole."""
        whole = Resources(cpu="1000", memory="4Ti", pods="20000")
        return PingReply(
            resources=whole,
            partitions=dict.fromkeys(partitions, whole) or None,
            flavors=dict.fromkeys(flavors, whole) or None,
            extensions=[EXTENSION_CHANGES, EXTENSION_UPDATE],
        )

    def close(self) -> None:
        """Stop the timers and let the waiters go."""
        self._journal.close()
        with self._lock:
            for timer in self._timers.values():
                timer.cancel()

    def _set_timer(self, pod: Pod) -> None:
        seconds = pod.annotation(RUN_SECONDS)
        if seconds:
            timer = threading.Timer(float(seconds), self._end, [pod.uid, int(pod.annotation(EXIT_CODE, "0"))])
            timer.daemon = True
            self._timers[pod.uid] = timer
            timer.start()

    def _end(self, uid: str, exit_code: int) -> None:
        with self._lock:
            pod = self._pods.get(uid)
            if pod is not None and uid in self._started:
                self._journal.publish([self._status(pod, exit_code)])
                del self._started[uid]

    def _status(self, pod: Pod, exit_code: int | None) -> PodStatus:
        started = self._started[pod.uid]
        if exit_code is None:
            state: dict[str, Any] = {"running": {"startedAt": started}}
        else:
            reason = "Completed" if exit_code == 0 else "Error"
            state = {
                "terminated": {"exitCode": exit_code, "reason": reason, "startedAt": started, "finishedAt": _now()}
            }
        containers = [
            {"name": container.name, "state": state, "ready": exit_code is None, "started": exit_code is None,
             "restartCount": 0, "image": container.image, "imageID": "", "lastState": {}}
            for container in pod.spec.containers
        ]  # fmt: skip
        return PodStatus(
            name=pod.metadata.name,
            UID=pod.uid,
            namespace=pod.metadata.namespace,
            JID=f"mock-{pod.uid}",
            containers=containers,
            cluster=pod.annotation(CLUSTER_ANNOTATION),
            node=pod.spec.nodeName,
            ended=exit_code is not None,
        )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
