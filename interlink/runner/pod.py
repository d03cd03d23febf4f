"""The pod: one loop that waits for pipes, signals and the next point in time, and tells each transition.

One thread: threads would make the fork of a container unsafe, and Linux ties a parent-death signal to the thread that
forked.
"""

import os
import select
import signal
import time
from typing import Any, Dict, Optional, Tuple

from interlink.runner.addresses import with_address
from interlink.runner.container import Container
from interlink.runner.cpus import Cpus
from interlink.runner.egress import Egress
from interlink.runner.files import say
from interlink.runner.guard import Guard
from interlink.runner.images import Image
from interlink.runner.limits import KernelKills, Memory
from interlink.runner.names import Names
from interlink.runner.order import Order
from interlink.runner.report import Reporter
from interlink.runner.runtimes import runtime_of
from interlink.runner.update import NOTHING, Updates
from interlink.runner.volumes import Volumes

#: The loop's pause when nothing happens: then it looks at locks, and writes a report that a full disk refused.
TICK = 0.5
#: How long the last report is tried again on a full disk before the job ends without it, in seconds.
LAST_REPORT = 300.0
#: What a pod gets that is evicted for its storage, in seconds (the kubelet's immediateEvictionGracePeriodSeconds).
EVICTION_GRACE = 1.0
#: In the job's folder: the grace period of a deletion, in seconds. Written by the sidecar before it asks by SIGTERM.
GRACE_FILE = "grace"


class PodRunner:
    """One run of one pod in one job."""

    def __init__(self, plan: Dict[str, Any], job: str, guard: Guard, reporter: Reporter) -> None:
        plan = with_address(plan, reporter.address)
        self.plan, self.job, self.guard, self.reporter = plan, job, guard, reporter
        self.runtime = runtime_of(plan)
        #: By their names, and by why they must not be had.
        self.images: Dict[Tuple[str, str], Image] = {}
        self.updates = Updates(plan["folder"])
        self.update = self.updates.read() or NOTHING
        self.volumes = Volumes(plan, guard, self.update.contents)
        self.egress = Egress(plan, guard)
        self.names = Names(plan, reporter.address)
        self.memory, self.kernel_kills = Memory(), KernelKills()
        self.cpus = Cpus(plan, guard, job)
        #: No container is started any more: the pod is asked to end, or only its sidecars are left.
        self.stopping = False
        #: Slurm, and neither the pod's deletion nor its own time limit, has asked for the end: the job may be requeued.
        #: Whether that was the warning of the job's time limit is the sidecar's to say, by what is reported of it.
        self.interrupted: Optional[Dict[str, Any]] = None
        #: How often an end was asked for, and how many of those were answered.
        self.asked, self.answered = 0, 0
        self.changed = True
        self.give_up = 0.0
        self.reason, self.message = "", ""
        specs = self._specs()
        init = [
            Container(self, specs[spec["name"]], "sidecar" if spec.get("restartPolicy") == "Always" else "init")
            for spec in plan.get("initContainers", ())
        ]
        main = [Container(self, specs[spec["name"]], "main") for spec in plan["containers"]]
        self.order = Order(init, main)
        self.containers = [*init, *main]
        self.wakeup, self.waker = os.pipe()
        #: The pod's own grace period, in seconds.
        self.grace = float(plan.get("terminationGracePeriodSeconds", 30))
        self._begun = time.monotonic()

    def image_of(self, spec: Dict[str, Any]) -> "Image | None":
        """Return the container's image, shared by all that name it alike; None where containers have none."""
        if not self.runtime.images:
            return None
        key = name, refused = spec["image"], spec.get("refused", "")
        if key not in self.images:
            self.images[key] = Image(self.plan, self.runtime, name, self._pull_policy(name), self.guard)
            if refused:
                self.images[key].refuse(refused)
        return self.images[key]

    def abandon_pulls(self) -> None:
        """End the pulls of images that no container waits for any more."""
        wanted = {id(container.image) for container in self.containers}
        for image in self.images.values():
            if id(image) not in wanted:
                image.abandon()

    @property
    def deadline(self) -> Optional[float]:
        """When the pod's time is over: activeDeadlineSeconds after the begin of the job's run."""
        newer = self.update.deadline
        limit = self.plan.get("activeDeadlineSeconds") if newer is None else newer
        return None if limit is None else self._begun + limit

    def _specs(self) -> Dict[str, Dict[str, Any]]:
        """Return the plan's word on each container by name, with the image that the pod has for it now."""
        everyone = [*self.plan.get("initContainers", ()), *self.plan["containers"]]
        newer = self.update.images if self.runtime.images else {}
        return {spec["name"]: dict(spec, **newer.get(spec["name"], {})) for spec in everyone}

    def _pull_policy(self, name: str) -> str:
        """Return the policy that serves every container of the image: the one that pulls most."""
        everyone = self._specs().values()
        said = {spec.get("pullPolicy", "IfNotPresent") for spec in everyone if spec["image"] == name}
        return next(policy for policy in ("Always", "IfNotPresent", "Never") if policy in said)

    def run(self) -> int:
        """Run all containers to their ends; return the exit status of the job."""
        self._listen()
        while True:
            clock = time.monotonic()
            self._look_at_updates(clock)
            self._look_at_end(clock)
            self._look_at_volumes(clock)
            self.egress.step(clock)
            for container in self.containers if self.stopping else self.order.begun():
                container.step(clock)
            self.memory.step(clock, self.containers)
            self.guard.reap()
            finished = all(container.done for container in self.containers)
            self._report(finished, clock)
            if finished and (self.reporter.pending is None or clock > self._last_try(clock)):
                break
            self._wait(clock)
        for image in self.images.values():
            image.abandon()
        self.egress.stop()
        self.volumes.remove()
        codes = [container.state.get("terminated", {}).get("exitCode", 1) for container in self.order.main]
        return 0 if not any(codes) else 1

    def _listen(self) -> None:
        """Let signals wake the loop: an end asked for, and a child that ended."""
        os.set_blocking(self.wakeup, False)
        os.set_blocking(self.waker, False)
        signal.set_wakeup_fd(self.waker)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def _ask_to_stop(self, _number: int, _frame: object) -> None:
        self.asked += 1

    def _look_at_updates(self, clock: float) -> None:
        """Take what has changed of the pod."""
        update = self.updates.look(clock)
        if update is None:
            return
        self.update = update
        if not self.volumes.bring(update.contents, clock):
            self.updates.again(clock)
        specs = self._specs()
        for container in self.containers:
            container.renew(specs[container.name], clock)
            if not self.runtime.images:
                container.ignore(update.images.get(container.name, {}).get("said", ""), clock)

    def _look_at_end(self, clock: float) -> None:
        """End the pod if that was asked for or its time is over, and its sidecars if nothing else is left."""
        deadline = self.deadline
        late = deadline is not None and clock >= deadline and not self.stopping
        over = self.order.over and not self.stopping
        asked = self.asked
        if asked == self.answered and not late and not over:
            return
        deleted = os.path.exists(os.path.join(self.plan["folder"], GRACE_FILE))
        if late and asked == self.answered:
            self.reason = "DeadlineExceeded"
            self.message = "Pod was active on the node longer than the specified deadline"
        elif asked != self.answered and not deleted and self.interrupted is None:
            limit = os.environ.get("SLURM_JOB_END_TIME", "")
            limit_at = float(limit) if limit.isdigit() else None
            self.interrupted = {"at": time.time(), "limitAt": limit_at, "grace": self.grace}
        self.stopping = True
        grace = self._grace(deleted=deleted and asked != self.answered)
        self.answered = asked
        for container in self.containers:
            # Of a deletion the virtual kubelet itself says so, at once.
            container.stop(clock, grace, tell=not deleted)

    def _look_at_volumes(self, clock: float) -> None:
        """Keep volumes tidy, and end the pod as the kubelet does where one holds more than its limit."""
        exceeded = self.volumes.look(clock)
        if exceeded and not self.stopping:
            self.reason, self.message = "Evicted", exceeded
            self.stopping = True
            for container in self.containers:
                container.stop(clock, EVICTION_GRACE, tell=True)

    def _grace(self, deleted: bool) -> float:
        """Return the grace period: that of the deletion where the sidecar wrote one, else the pod's own."""
        path = os.path.join(self.plan["folder"], GRACE_FILE)
        if deleted:
            try:
                with open(path, "rb") as file:
                    return float(max(int(file.read(32)), 0))
            except (OSError, ValueError) as error:
                say("{}: {}; the pod's own grace period counts".format(path, error))
        return self.grace

    def _report(self, finished: bool, clock: float) -> None:
        due = [moment for container in self.containers for moment in container.events.due()]
        if self.changed or finished or any(moment <= clock for moment in due):
            self.changed = False
            self.reporter.tell({
                "initContainers": [container.status() for container in self.order.init],
                "containers": [container.status() for container in self.order.main],
                "images": {each.name: each.spec["said"] for each in self.containers if "said" in each.spec},
                "backOff": {each.name: each.back_off.as_json() for each in self.containers if each.back_off.pause},
                "interrupted": [each.name for each in self.containers if each.interrupted],
                "containerEvents": [event for each in self.containers for event in each.events.tell(clock)],
                "asked": self.interrupted, "reason": self.reason, "message": self.message, "finished": finished,
            })  # fmt: skip
        self.reporter.write()

    def _last_try(self, clock: float) -> float:
        """Return until when the last report is tried again, once every container has ended."""
        if not self.give_up:
            self.give_up = clock + LAST_REPORT
        return self.give_up

    def _wait(self, clock: float) -> None:
        """Wait for output, a signal or the next point in time; take the output."""
        running = [container.process for container in self.containers if container.process is not None]
        sources = {descriptor: process for process in running for descriptor in process.sources()}
        times = [moment for container in self.containers for moment in container.times() if moment > clock]
        deadline = self.deadline
        times += [] if deadline is None or deadline <= clock else [deadline]
        timeout = max(0.0, min([TICK, *(moment - clock for moment in times)]))
        waiting = select.poll()
        # What hooks and probes say is taken by the step that comes next.
        hooks = [descriptor for container in self.containers for descriptor in container.descriptors()]
        for descriptor in (self.wakeup, *sources, *hooks):
            waiting.register(descriptor, select.POLLIN)
        for descriptor, _ in waiting.poll(timeout * 1000):
            if descriptor == self.wakeup:
                os.read(self.wakeup, 4096)
            elif descriptor in sources:
                sources[descriptor].read(descriptor)
