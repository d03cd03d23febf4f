"""One container: its process, its state as v1.ContainerStatus has it, and when it is started again."""

import os
import subprocess
from typing import TYPE_CHECKING, Any, Dict, Optional

from interlink.runner.crilog import Log
from interlink.runner.files import RunnerError, words
from interlink.runner.processes import kill_session
from interlink.runner.times import now, seconds

if TYPE_CHECKING:
    from interlink.runner.pod import PodRunner

#: Restart back-off of the kubelet: at once, then 10 s, doubling to 300 s, forgotten after 600 s of running.
BACKOFF_FIRST, BACKOFF_LONGEST, BACKOFF_RESET = 10.0, 300.0, 600.0
#: How long output is read on after a container's process has ended (a grandchild may hold the pipe), in seconds.
DRAIN = 1.0
#: An exit by signal N is shown as 128 + N.
SIGNAL_BASE = 128


class Container:
    """One container: its process, its state as v1.ContainerStatus has it, and when to start it again."""

    def __init__(self, pod: "PodRunner", spec: Dict[str, Any]) -> None:
        self.pod, self.spec, self.name = pod, spec, spec["name"]
        self.image = pod.image_of(spec)
        self.log = Log(os.path.join(pod.plan["folder"], "logs", self.name + ".log"))
        self.process: "Optional[subprocess.Popen[bytes]]" = None
        self.pipes: Dict[int, str] = {}
        self.state: Dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
        self.last_state: Dict[str, Any] = {}
        self.restarts, self.backoff, self.due, self.kill_at, self.ended_at = 0, 0.0, 0.0, 0.0, 0.0
        self.done = False
        self.began = now()

    def status(self) -> Dict[str, Any]:
        """Return the v1.ContainerStatus."""
        running = "running" in self.state
        return {
            "name": self.name, "image": self.spec["image"], "state": self.state,
            "lastState": self.last_state, "ready": running, "started": running, "restartCount": self.restarts,
            "imageID": "" if self.image is None else self.image.id,
            "containerID": "slurm://{}/{}".format(self.pod.job, self.name),
        }  # fmt: skip

    def step(self, clock: float) -> None:
        """Do what is due: look at the process, pull, start."""
        if self.done:
            return
        if self.process is not None:
            self._look(clock)
        elif self.pod.stopping:
            self._never_started()
        elif clock >= self.due:
            self._start(clock)

    def stop(self, clock: float, grace: float) -> None:
        """Ask the container to end, and end it after the grace period; asked again, the shorter period counts."""
        if self.process is not None:
            if not self.kill_at:
                self.process.terminate()
            self.kill_at = min(self.kill_at or clock + grace, clock + grace)

    def read(self, pipe: int) -> None:
        """Take what a pipe has; a closed one is forgotten."""
        data = os.read(pipe, 65536)
        if data:
            self.log.take(self.pipes[pipe], data)
        else:
            self._close(pipe)

    def _close(self, pipe: int) -> None:
        os.close(pipe)
        del self.pipes[pipe]

    def _start(self, clock: float) -> None:
        waiting = None if self.image is None else self.image.step(clock)
        if waiting is not None:
            self._set({"waiting": waiting})
            return
        try:
            self._launch()
        except (OSError, ValueError, RunnerError) as error:
            moment = seconds(now())
            self._end({"exitCode": 128, "reason": "StartError", "message": words(error), "startedAt": moment,
                       "finishedAt": moment}, clock)  # fmt: skip
        else:
            self._set({"running": {"startedAt": seconds(self.began)}})

    def _launch(self) -> None:
        image = None if self.image is None else self.image.file
        with self.pod.volumes.mounts(self.spec) as mounts:
            launch = self.pod.runtime.launch(self.spec, image, mounts.binds, self.spec.get("env", ()))
            self.log.begin()
            self.process = subprocess.Popen(
                launch.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=launch.environment, cwd=launch.folder, start_new_session=True, preexec_fn=mounts.prepare,
            )  # fmt: skip
        self.pod.guard.tell(self.process.pid, alive=True)
        self.began, self.ended_at, self.kill_at = now(), 0.0, 0.0
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        for stream, name in ((self.process.stdout, "stdout"), (self.process.stderr, "stderr")):
            self.pipes[os.dup(stream.fileno())] = name
            stream.close()

    def _look(self, clock: float) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            if self.kill_at and clock >= self.kill_at:
                kill_session(self.process.pid)
            return
        if not self.ended_at:
            self.ended_at = clock
            # What a container leaves behind (helpers of the runtime, daemons on the host) ends with it.
            kill_session(self.process.pid)
        if self.pipes and clock < self.ended_at + DRAIN:
            return
        for pipe in list(self.pipes):
            self._close(pipe)
        self.log.end()
        self.pod.guard.tell(self.process.pid, alive=False)
        code = self.process.returncode if self.process.returncode >= 0 else SIGNAL_BASE - self.process.returncode
        self.process = None
        self._end({"exitCode": code, "reason": "Completed" if code == 0 else "Error",
                   "startedAt": seconds(self.began), "finishedAt": seconds(now())}, clock)  # fmt: skip

    def _end(self, terminated: Dict[str, Any], clock: float) -> None:
        terminated["containerID"] = "slurm://{}/{}".format(self.pod.job, self.name)
        policy = self.pod.plan.get("restartPolicy", "Always")
        again = policy == "Always" or (policy == "OnFailure" and terminated["exitCode"] != 0)
        if self.pod.stopping or not again:
            self.done = True
            self._set({"terminated": terminated})
            return
        if (now() - self.began).total_seconds() >= BACKOFF_RESET:
            self.backoff = 0.0
        self.due = clock + self.backoff
        message = "back-off {:.0f}s restarting failed container={}".format(self.backoff, self.name)
        self.backoff = min(max(self.backoff * 2, BACKOFF_FIRST), BACKOFF_LONGEST)
        self.last_state = {"terminated": terminated}
        self.restarts += 1
        self._set({"waiting": {"reason": "CrashLoopBackOff", "message": message}})

    def _never_started(self) -> None:
        self.done = True
        last = self.last_state.get("terminated")
        message = "the pod was ended before this container started"
        self._set({"terminated": last or {"exitCode": 137, "reason": "Cancelled", "message": message,
                                          "startedAt": None, "finishedAt": seconds(now())}})  # fmt: skip

    def _set(self, state: Dict[str, Any]) -> None:
        if state != self.state:
            self.state = state
            self.pod.changed = True
