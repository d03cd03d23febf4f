"""One container: its runs one after another, and its state as v1.ContainerStatus has it.

Driven by ``pod.py``'s loop, which says when its turn has come (``order.py``). A container waits, runs, ends, and by its
restart policy (``restart.py``) waits again or is done.
"""

import os
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from interlink.runner import mpi
from interlink.runner.actions import Action, start
from interlink.runner.crilog import Log
from interlink.runner.ending import Ending
from interlink.runner.enter import Entry, entry, process_inside
from interlink.runner.events import NORMAL, WARNING, Events
from interlink.runner.files import RunnerError, words
from interlink.runner.folder import WorkingFolder
from interlink.runner.opening import Opening
from interlink.runner.probes import Probes
from interlink.runner.process import KILLED, Process
from interlink.runner.restart import BackOff, Past, is_restarted
from interlink.runner.runtimes import Launch, variables
from interlink.runner.runtimes.base import granted
from interlink.runner.shield import Shield
from interlink.runner.streams import Streams
from interlink.runner.termination import LastWords
from interlink.runner.times import go_duration, now, seconds
from interlink.runner.users import refusal

if TYPE_CHECKING:
    from interlink.runner.pod import PodRunner

#: Why a container is ended for another image, in the kubelet's words.
_CHANGED = "Container {} definition changed, will be restarted"
_IGNORED = 'the change of the image to "{}" has no effect: containers run straight on the host here, without images'


class Container:
    """One container of the pod; ``role`` is init, sidecar or main."""

    def __init__(self, pod: "PodRunner", spec: Dict[str, Any], role: str) -> None:
        self.pod, self.spec, self.name, self.role = pod, spec, spec["name"], role
        plan = pod.plan
        self.image = pod.image_of(spec)
        self.log = Log(
            os.path.join(plan["folder"], "logs", self.name + ".log"),
            plan.get("logMaxBytes", 10 << 20), plan.get("logFiles", 5),
        )  # fmt: skip
        self.words = LastWords(plan, spec)
        self.awaits_image = False
        self.process: Optional[Process] = None
        self.launch: Optional[Launch] = None
        self.opening: Optional[Opening] = None
        self.ending: Optional[Ending] = None
        self.shield: Optional[Shield] = None
        self.probes = Probes(spec, self._act)
        self.events = Events(self.name, pod.reporter.past)
        self.folder = WorkingFolder(plan, spec, pod.runtime, pod.guard)
        #: What a container waits for that has not been started yet, in the kubelet's word.
        self.unborn = "PodInitializing" if plan.get("initContainers") else "ContainerCreating"
        self.state: Dict[str, Any] = {"waiting": {"reason": self.unborn}}
        self.due = 0.0
        #: With another image, for which the present run is being ended.
        self.coming: Optional[Dict[str, Any]] = None
        #: Another image of which it was told that there is none here.
        self.ignored = ""
        #: Why the run is being ended, if that is more than its exit code says.
        self.fault = ""
        self.failed_probe, self.oom = False, False
        #: The turn of those that start after this one has come; nothing more will happen to this one.
        self.passed, self.done = False, False
        #: It ended because Slurm ended the job's run: its exit code is no word on its work.
        self.interrupted = False
        self.began = now()
        self._take_up(Past(pod.reporter.past, self.name))

    def _take_up(self, past: Past) -> None:
        """Go on where the job's run before a requeue stood."""
        if past.stays(self.role, self.pod.plan.get("restartPolicy", "Always")):
            self.state, self.passed, self.done = past.state, True, True
        else:
            past.run_again()
        self.last_state, self.restarts, self.ran = past.last_state, past.restarts, past.ran
        self.back_off = past.back_off
        if self.back_off.left():
            self._pause(time.monotonic(), self.back_off.left())

    def status(self) -> Dict[str, Any]:
        """Return the v1.ContainerStatus."""
        status = {
            "name": self.name, "image": self.spec["image"], "state": self.state, "lastState": self.last_state,
            "ready": self.probes.ready, "started": self.probes.started, "restartCount": self.restarts,
            "imageID": "" if self.image is None else self.image.id,
        }  # fmt: skip
        if self.role == "init":
            status["ready"] = self.state.get("terminated", {}).get("exitCode") == 0
        if self.ran:
            status["containerID"] = self._id()
        return status

    def step(self, clock: float) -> None:
        """Do what is due: look at the process, pull, start."""
        if self.done:
            return
        if self.process is not None:
            self._tend(self.process, clock)
        elif clock >= self.due:
            self._start(clock)

    def stop(self, clock: float, grace: float, tell: bool) -> None:
        """End the container, and let it not start again; asked again, the grace period that ends earlier counts.

        ``tell``: have an event say so, where it runs.
        """
        if self.process is None:
            self.folder.cancel()
            self._never_again()
        elif self.ending is None:
            self._end_run(clock, grace, "Stopping container {}".format(self.name) if tell else "")
        else:
            self.ending.hurry(clock, grace)

    def renew(self, spec: Dict[str, Any], clock: float) -> None:
        """Take the pod's newest word on the container, and run its image if that is another one.

        As a kubelet does: a container that runs is ended and started again, whatever the restart policy; one that has
        ended for good stays so, and an init container that runs goes on.
        """
        if self.done or self.pod.stopping or spec.get("said") == (self.coming or self.spec).get("said"):
            return
        self.coming = spec
        if self.process is None:
            self._switch()
        elif self.role != "init" and self.ending is None:
            text = "Init container {} definition changed" if self.role == "sidecar" else _CHANGED
            self._end_run(clock, self.pod.grace, text.format(self.name))

    def ignore(self, image: str, clock: float) -> None:
        """Have an event say once of another image (empty: the one of the plan) that containers have none here."""
        if image and image != self.ignored and not self.done:
            self.events.note(WARNING, "FieldIgnored", _IGNORED.format(image), clock)
        self.ignored = image

    def _switch(self) -> None:
        """Have the next run be of the image that was asked for; it knows nothing of the back-off of the old one's."""
        assert self.coming is not None
        self.spec, self.coming = self.coming, None
        self.image = self.pod.image_of(self.spec)
        self.folder.cancel()
        self.folder = WorkingFolder(self.pod.plan, self.spec, self.pod.runtime, self.pod.guard)
        self.pod.abandon_pulls()
        self.back_off, self.due = BackOff(), 0.0
        self.state, self.pod.changed = {"waiting": {"reason": self.unborn}}, True

    def out_of_memory(self) -> None:
        """End the container at once: it is over its memory limit."""
        if self.process is not None:
            self.oom = True
            self.process.kill()

    def times(self) -> List[float]:
        """Return the moments at which something is due."""
        times = [self.due, *self.probes.due()]
        times += [] if self.opening is None else self.opening.times()
        times += [] if self.shield is None else self.shield.times()
        return times + ([] if self.ending is None else [self.ending.kill_at])

    def descriptors(self) -> List[int]:
        """Return the descriptors that say that a hook or an attempt of a probe has ended."""
        parts = [part for part in (self.opening, self.ending, self.probes, self.folder) if part is not None]
        return [descriptor for part in parts for descriptor in part.descriptors()]

    def _id(self) -> str:
        """Return the id of the present or last run: each has one of its own, as under a kubelet."""
        return "slurm://{}/{}/{}".format(self.pod.job, self.name, self.restarts)

    def _start(self, clock: float) -> None:
        if self.image is not None and not self._image_is_there(clock):
            return
        waiting = self._waiting(clock)
        if waiting is not None:
            self._set({"waiting": {"reason": self.unborn, **waiting}})
            return
        self.restarts += 1 if self.ran else 0
        self.ran = True
        self.began = now()
        self.fault, self.failed_probe, self.oom = "", False, False
        try:
            self.process = self._launch()
        except (OSError, ValueError, RunnerError) as error:
            self._ended({"exitCode": 128, "reason": "StartError", "message": words(error)}, clock)
        else:
            self.opening = Opening(self.spec.get("postStart"), self._act, self._inside(), clock)
            if self.image is not None and not self.spec.get("mpi"):
                self.shield = Shield(self.process, clock, self.pod.guard)
            self._open(clock)
            if self.opening is not None:
                # By its id, whoever follows the log knows that a run is under way.
                self._set({"waiting": {"reason": self.unborn}})
                self.pod.changed = True

    def _waiting(self, clock: float) -> Optional[Dict[str, str]]:
        """Return what the container waits for once its image is there, None where it can be made."""
        image = None if self.image is None else self.image.file
        refused = refusal(self.pod.plan, self.spec, image, self.pod.runtime)
        if refused:
            # As of an image that cannot be had: the next container has its turn.
            self.passed = self.passed or self.role == "main"
            return {"reason": "CreateContainerConfigError", "message": refused}
        egress = self.pod.egress.waiting()
        if egress is not None:
            return {**egress, "reason": self.unborn}
        return None if self.folder.step(image, clock) else {}

    def _image_is_there(self, clock: float) -> bool:
        assert self.image is not None
        waiting = self.image.step(clock)
        if waiting is None:
            if self.awaits_image and self.image.pulled:
                self.events.note(NORMAL, "Pulled", self.image.pulled, clock)
            self.awaits_image = False
            return True
        self.awaits_image = True
        if waiting["reason"] == "ContainerCreating":
            waiting["reason"] = self.unborn
        else:
            # The kubelet goes on with the next container of the pod, and comes back to this one.
            self.passed = self.passed or self.role == "main"
        self._set({"waiting": waiting})
        return False

    def _launch(self) -> Process:
        image = None if self.image is None else self.image.file
        egress = self.pod.egress
        with self.pod.volumes.mounts(self.spec) as mounts:
            own = [*mounts.binds, self.words.begin(), *egress.binds()]
            binds = self.folder.binds([*own, *self.pod.names.binds(self.spec)])
            start = (self.spec, image, binds, egress.variables(granted(self.spec)))
            if self.spec.get("mpi"):
                launch = mpi.across_tasks(self.pod.plan, self.spec, self.pod.runtime.shared(*start))
            else:
                launch = self.pod.runtime.launch(*start)
            self.launch = launch
            self.log.begin()
            streams = Streams(self.pod.plan["folder"], self.spec)

            def prepare() -> None:
                self.pod.cpus.enter(self.name)
                mounts.prepare()

            return Process(launch, streams, self.log, self.pod.guard, prepare)

    def _tend(self, process: Process, clock: float) -> None:
        """Look after a container that runs."""
        if self.shield is not None:
            self.shield.step(clock)
        if self.opening is not None:
            self._open(clock)
        elif self.ending is None:
            self._watch(clock)
        if self.ending is not None:
            self._end(self.ending, clock)
        if process.is_over(clock):
            for part in (self.opening, self.ending, self.shield):
                if part is not None:
                    part.cancel()
            self.probes.stop()
            self.process = self.opening = self.ending = self.shield = None
            self._ended(self._end_of(process), clock)

    def _open(self, clock: float) -> None:
        """Bring the container's opening a step further; with it the container runs, or is ended again."""
        assert self.opening is not None
        outcome = self.opening.step(clock)
        if outcome is None:
            return
        self.opening = None
        if outcome.success:
            self.probes.begin(clock)
            self._set({"running": {"startedAt": seconds(self.began)}})
            self.passed = self.passed or self.role == "main"
            self._watch(clock)
        else:
            self.fault = "FailedPostStartHook: {}".format(outcome.message)
            # Not what it said: the kubelet keeps that out of events, for there may be secrets in it.
            self.events.note(WARNING, "FailedPostStartHook", "PostStartHook failed", clock)
            self._end_run(clock, self.pod.grace, "FailedPostStartHook")

    def _watch(self, clock: float) -> None:
        """Let the probes say how the container is, and act upon it."""
        probes = self.probes
        before = (probes.started, probes.ready)
        for reason, probe in probes.step(clock):
            self.events.note(WARNING, reason, probe.words, clock, "{}/{}".format(reason, probe.kind))
        self.pod.changed = self.pod.changed or before != (probes.started, probes.ready)
        self.passed = self.passed or (self.role == "sidecar" and probes.started)
        if probes.failure is not None:
            self.failed_probe, self.fault = True, probes.failure.message
            grace = probes.failure.grace
            self._end_run(clock, self.pod.grace if grace is None else grace, probes.failure.sentence)

    def _act(self, handler: Dict[str, Any], clock: float, timeout: float) -> Action:
        return start(handler, clock, timeout, self._enter, self.pod.guard)

    def _enter(self, argv: List[str]) -> Entry:
        """Return how a command starts in the container. Raises RunnerError."""
        assert self.process is not None
        assert self.launch is not None
        if self.image is None:
            return Entry(self.launch._replace(argv=argv))
        assert self.image.file is not None
        return entry(self.process.top, argv, variables(self.image.file, granted(self.spec)))

    def _inside(self) -> Optional[Callable[[], Optional[int]]]:
        """Return what finds the container's own process, None where no hook or probe is going to ask for it."""
        process = self.process
        asked = self.probes.all or self.spec.get("postStart") or self.spec.get("preStop")
        if process is None or not asked or not self.pod.runtime.images:
            return None
        return lambda: process_inside(process.top)

    def _end_run(self, clock: float, grace: float, words: str) -> None:
        """Begin the end of the present run; ``words`` say why in an event, where they are not empty."""
        assert self.process is not None
        if words:
            self.events.note(NORMAL, "Killing", words, clock)
        if self.opening is not None:
            self.opening.cancel()
            self.opening = None
        self.probes.stop()
        self.pod.changed = True
        # Only where the pod ends does a sidecar wait for others.
        self.ending = Ending(self.process, clock, grace, lambda: not self.pod.stopping or self.pod.order.may_end(self))
        if self.spec.get("preStop"):
            self.ending.begin_hook(self.spec["preStop"], self._act, clock)
        self._end(self.ending, clock)

    def _end(self, ending: Ending, clock: float) -> None:
        """Bring the end of the present run a step further."""
        if not ending.step(clock):
            self.events.note(WARNING, "FailedPreStopHook", "PreStopHook failed", clock)

    def _end_of(self, process: Process) -> Dict[str, Any]:
        """Return the v1.ContainerStateTerminated of a process, without its times."""
        code = process.exit_code
        oom = self.oom or (code == KILLED and not process.killed and self.pod.kernel_kills.grew())
        if oom:
            return {"exitCode": KILLED, "reason": "OOMKilled", "message": self.words.read(KILLED, self.log.tail)}
        message = self.words.read(code, self.log.tail) or self.fault
        return {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": message}

    def _ended(self, terminated: Dict[str, Any], clock: float) -> None:
        """Note the end of a run, and decide what comes after it."""
        if not terminated["message"]:
            del terminated["message"]
        self.passed = self.passed or self.role == "main"
        terminated.update(startedAt=seconds(self.began), finishedAt=seconds(now()), containerID=self._id())
        self.interrupted = self.pod.interrupted is not None
        policy, code = self.pod.plan.get("restartPolicy", "Always"), terminated["exitCode"]
        renewed = self.coming is not None and self.role != "init"
        if self.pod.stopping or not (renewed or is_restarted(self.role, policy, code, self.failed_probe)):
            self.done = True
            self.passed = self.passed or code == 0
            self._set({"terminated": terminated})
            return
        self.last_state = {"terminated": terminated}
        pause = self.back_off.begin((now() - self.began).total_seconds())
        if self.coming is None:
            self._pause(clock, pause)
        else:
            self._switch()

    def _pause(self, clock: float, pause: float) -> None:
        """Wait before the next start."""
        self.due = clock + pause
        if pause:
            message = "back-off {} restarting failed container={} pod={}_{}".format(
                go_duration(pause), self.name, self.pod.plan["name"], self.pod.plan["namespace"]
            )
            self._set({"waiting": {"reason": "CrashLoopBackOff", "message": message}})

    def _never_again(self) -> None:
        """Be done without a further run."""
        if self.done:
            return
        self.done = True
        if self.last_state:
            self._set(self.last_state)
        elif self.pod.order.initialized:
            message = "the pod was ended before this container started"
            self._set({"terminated": {"exitCode": KILLED, "reason": "Cancelled", "message": message,
                                      "startedAt": None, "finishedAt": seconds(now())}})  # fmt: skip

    def _set(self, state: Dict[str, Any]) -> None:
        if state != self.state:
            self.state = state
            self.pod.changed = True
