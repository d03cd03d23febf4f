"""A backend that only pretends: the fake beside the Backend interface, held to the same contract tests.

For trying a cluster's side without a site, for tests of the InterLink API and for benchmarks of the virtual kubelet.
A pod runs as soon as it is created; with the annotation RUN_SECONDS it ends by itself after so many seconds, each
container with the exit code of the annotation EXIT_CODE; when its activeDeadlineSeconds are over it fails as any pod. A
container whose image changes is at once a restarted one. A log that is followed gets a line each second with the time,
until the pod ends. At debug level each change is logged, so that its time is known to who measures.
"""

import heapq
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from interlink.sidecars.backend import Deleted, NotFound, Refused
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

log = logging.getLogger(__name__)

RUN_SECONDS = "mock.interlink.io/run-seconds"
EXIT_CODE = "mock.interlink.io/exit-code"
#: 128 + SIGTERM, what a container that was asked to end reports.
TERMINATED = 143
#: A pod-level reason and message (v1.PodStatus): an end by itself has none.
_ITS_OWN = ("", "")
_LATE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
#: How often a followed log gets a line.
LINE_SECONDS = 1.0


class MockBackend:
    """Pods in a dictionary."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pods: dict[str, Pod] = {}
        self._started: dict[str, str] = {}
        #: When each began by the monotonic clock.
        self._begun: dict[str, float] = {}
        #: By pod and container, how often it was started again.
        self._restarts: dict[str, Counter[str]] = {}
        self._deleted: set[str] = set()
        #: (when by the monotonic clock, UID, exit code, why) of those that end without a deletion, the next one first.
        self._ends: list[tuple[float, str, int, tuple[str, str]]] = []
        self._news = threading.Condition(self._lock)
        self._closed = False
        self._journal = ChangeJournal()
        threading.Thread(target=self._end_in_time, name="mock-ends", daemon=True).start()

    def create(self, request: RetrievedPodData) -> CreateReply:
        """Let the pod run."""
        pod = request.pod
        end = _end_of(pod)
        with self._lock:
            if pod.uid in self._deleted:
                raise Deleted(f"pod {pod} was deleted before it was created")
            if pod.uid not in self._pods:
                self._pods[pod.uid] = pod
                self._started[pod.uid], self._begun[pod.uid] = _now(), time.monotonic()
                self._restarts[pod.uid] = Counter()
                log.debug("pod %s: runs", pod.uid)
                self._journal.publish([self._status(pod, None)])
                if end:
                    self._end_after(pod.uid, *end, _ITS_OWN)
                self._keep_deadline(pod)
        return CreateReply(PodUID=pod.uid, PodJID=f"mock-{pod.uid}")

    def update(self, request: RetrievedPodData) -> None:
        """Take the newer deadline and images, and the newer contents, which nobody reads."""
        with self._lock:
            pod = self._pods.get(request.pod.uid)
            if pod is None or pod.uid not in self._started:
                raise NotFound(f"pod {request.pod} does not run here")
            before = {container.name: container.image for container in pod.spec.containers}
            changed = [
                container for container in request.pod.spec.containers if before.get(container.name) != container.image
            ]
            self._pods[pod.uid] = request.pod
            if changed:
                self._restarts[pod.uid].update(container.name for container in changed)
                self._journal.publish([self._status(request.pod, None)])
            if request.pod.spec.activeDeadlineSeconds != pod.spec.activeDeadlineSeconds:
                self._keep_deadline(request.pod)

    def delete(self, pod: Pod) -> None:
        """End the pod at once."""
        with self._lock:
            self._deleted.add(pod.uid)
            self._end(pod.uid, TERMINATED)
            self._pods.pop(pod.uid, None)

    def statuses(self, pods: Iterable[Pod]) -> list[PodStatus]:
        """Return the statuses of the known ones."""
        wanted = {pod.uid for pod in pods}
        return [status for status in self._journal.after(None, 0).statuses if status.UID in wanted]

    def changes(self, after: str | None, wait: float) -> Changes:
        """Return what changed."""
        return self._journal.after(after, wait)

    def logs(self, request: LogRequest) -> Iterator[bytes]:
        """Yield one line that says whose log this is; with Follow one each second that says when, in epoch seconds."""
        pod = self._pods.get(request.PodUID)
        if pod is None or request.ContainerName not in {container.name for container in pod.spec.containers}:
            raise NotFound(f"no container {request.ContainerName} in a pod {request.PodUID} here")
        yield f"this is the log of {request.ContainerName} in {request.Namespace}/{request.PodName}\n".encode()
        while request.Opts.Follow and request.PodUID in self._started and not self._closed:
            time.sleep(LINE_SECONDS)
            yield f"{time.time():.6f}\n".encode()

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
        """Let the waiters go, and end no more pods."""
        self._journal.close()
        with self._news:
            self._closed = True
            self._news.notify()

    def _end_in_time(self) -> None:
        """End pods whose time has come: one thread for all of them, whose number nobody bounds."""
        with self._news:
            while not self._closed:
                now = time.monotonic()
                while self._ends and self._ends[0][0] <= now:
                    _, uid, exit_code, why = heapq.heappop(self._ends)
                    self._end(uid, exit_code, why)
                self._news.wait(self._ends[0][0] - now if self._ends else None)

    def _keep_deadline(self, pod: Pod) -> None:
        """End the pod when its time is over, counted from its begin; the lock is held."""
        if pod.spec.activeDeadlineSeconds is not None:
            self._end_after(pod.uid, float(pod.spec.activeDeadlineSeconds), TERMINATED, _LATE)

    def _end_after(self, uid: str, seconds: float, exit_code: int, why: tuple[str, str]) -> None:
        heapq.heappush(self._ends, (self._begun[uid] + seconds, uid, exit_code, why))
        self._news.notify()

    def _end(self, uid: str, exit_code: int, why: tuple[str, str] = _ITS_OWN) -> None:
        """End the pod if it runs; the lock is held."""
        pod = self._pods.get(uid)
        if pod is not None and uid in self._started:
            log.debug("pod %s: has ended", uid)
            status = self._status(pod, exit_code)
            status.reason, status.message = why
            self._journal.publish([status])
            del self._started[uid], self._begun[uid], self._restarts[uid]

    def _status(self, pod: Pod, exit_code: int | None) -> PodStatus:
        started, restarts = self._started[pod.uid], self._restarts[pod.uid]
        if exit_code is None:
            state: dict[str, Any] = {"running": {"startedAt": started}}
        else:
            reason = "Completed" if exit_code == 0 else "Error"
            state = {
                "terminated": {"exitCode": exit_code, "reason": reason, "startedAt": started, "finishedAt": _now()}
            }
        containers = [
            {"name": container.name, "state": state, "ready": exit_code is None, "started": exit_code is None,
             "restartCount": restarts[container.name], "image": container.image, "imageID": "", "lastState": {}}
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


def _end_of(pod: Pod) -> tuple[float, int] | None:
    """Return how long the pod runs, in seconds, and its exit code; None where it does not end by itself."""
    seconds, code = pod.annotation(RUN_SECONDS), pod.annotation(EXIT_CODE, "0")
    try:
        return (float(seconds), int(code)) if seconds else None
    except ValueError as error:
        raise Refused(f"{RUN_SECONDS} and {EXIT_CODE} are numbers: {error}") from error


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
