"""When a container is started again, and what of its past a requeued job goes on with. Called by ``container.py``.

The rules are the kubelet's (pkg/kubelet/kuberuntime, docs: Pod Lifecycle, container restart policy).
"""

import time
from typing import Any, Dict

#: The pause before a restart in seconds: none, then 10, doubled to 300 at most, forgotten after 600 of running.
FIRST, LONGEST, FORGOTTEN_AFTER = 10.0, 300.0, 600.0
REQUEUED = "the container was running when Slurm ended the job's last run and requeued it"


def is_restarted(role: str, policy: str, exit_code: int, failed_probe: bool) -> bool:
    """Return whether a container that ended is started again, by its role and the pod's restartPolicy.

    A sidecar always is. An init container that failed is unless the policy is Never. A container whose liveness or
    startup probe failed counts as failed, whatever exit code it found for itself.
    """
    if role == "sidecar":
        return True
    if role == "main" and policy == "Always":
        return True
    return policy != "Never" and (exit_code != 0 or failed_probe)


class BackOff:
    """The growing pause between the restarts of one container; ``pause`` is what the next end brings."""

    def __init__(self) -> None:
        self.pause = 0.0
        #: When the pause that runs now is over, in seconds since the epoch; it outlives the job's run.
        self.until = 0.0

    def begin(self, ran: float) -> float:
        """Begin a pause after a run of so many seconds, and return its length."""
        pause = 0.0 if ran >= FORGOTTEN_AFTER else self.pause
        self.pause = min(max(pause * 2, FIRST), LONGEST)
        self.until = time.time() + pause
        return pause

    def left(self) -> float:
        """Return the seconds that are left of the pause."""
        return min(max(self.until - time.time(), 0.0), LONGEST)

    def as_json(self) -> Dict[str, float]:
        """Return what a report says of it."""
        return {"pause": self.pause, "until": self.until}

    def resume(self, said: Dict[str, Any]) -> None:
        """Go on where a report of the job's last run stood."""
        self.pause = min(max(float(said["pause"]), 0.0), LONGEST)
        self.until = float(said["until"])


class Past:
    """What a container was before Slurm requeued its job; nothing in the first run.

    It counts as core/rerun.py does while the job waits in its queue.
    """

    def __init__(self, report: Dict[str, Any], name: str) -> None:
        everyone = [*report.get("initContainers", ()), *report.get("containers", ())]
        self.status: Dict[str, Any] = next((item for item in everyone if item["name"] == name), {})
        self.state: Dict[str, Any] = self.status.get("state", {})
        self.last_state: Dict[str, Any] = self.status.get("lastState", {})
        self.interrupted = name in report.get("interrupted", ())
        self.restarts = int(self.status.get("restartCount", 0))
        #: Whether it was started before, and the start that comes next is not counted yet.
        self.ran = bool(self.last_state)
        run, ended = self.status.get("containerID", ""), self.last_state.get("terminated", {})
        #: Whether a run was under way that had not come to be shown as running: its postStart hook ran.
        self.begun = "waiting" in self.state and bool(run) and run != ended.get("containerID")
        self.back_off = BackOff()
        if name in report.get("backOff", {}):
            self.back_off.resume(report["backOff"][name])

    def stays(self, role: str, policy: str) -> bool:
        """Return whether the container is done for good: as under a kubelet that makes a pod's sandbox anew."""
        succeeded = self.state.get("terminated", {}).get("exitCode") == 0
        return role == "main" and policy == "OnFailure" and succeeded and not self.interrupted

    def run_again(self) -> None:
        """Make the last run's state the one before."""
        if "terminated" in self.state:
            self.last_state = self.state
        elif "running" in self.state or self.begun:
            self.last_state = {"terminated": {
                "exitCode": 137, "reason": "Requeued", "message": REQUEUED,
                "startedAt": self.state.get("running", {}).get("startedAt"), "finishedAt": None,
                "containerID": self.status.get("containerID", ""),
            }}  # fmt: skip
        else:
            return
        self.restarts, self.ran = self.restarts + 1, False
