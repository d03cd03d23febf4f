"""What a container's status becomes while its job waits to run again after a requeue.

Pure; called by ``core.status``. As with a kubelet whose node was restarted: what ran goes into ``lastState``, the count
of restarts grows by one, and a container that had succeeded under restartPolicy OnFailure is done. The runner goes on
from the same counts when the job runs again.
"""

from typing import Any

#: Why the earlier run ended. Slurm's records of the job do not keep it once the job waits again.
REASON = "Requeued"


def has_succeeded(container: dict[str, Any], policy: str) -> bool:
    """Whether an end that was told of is final in Kubernetes: no status may follow it. ``policy``: restartPolicy."""
    ended = container["state"].get("terminated")
    return ended is not None and policy == "OnFailure" and ended.get("exitCode") == 0


def held_back(container: dict[str, Any]) -> dict[str, Any]:
    """Return the v1.ContainerStatus of a success that may not count: Slurm had asked for the end, and may requeue.

    Until Slurm says whether the job is over, the container is shown as what it was.
    """
    running = {"running": {"startedAt": container["state"]["terminated"].get("startedAt")}}
    return {**container, "state": running, "ready": False, "started": True}


def has_begun(container: dict[str, Any]) -> bool:
    """Whether a run of a waiting container is under way: its postStart hook runs, and no end of it was told."""
    run, ended = container.get("containerID"), (container.get("lastState") or {}).get("terminated") or {}
    return "waiting" in container["state"] and bool(run) and run != ended.get("containerID")


def run_again(container: dict[str, Any], waiting: dict[str, str], job_id: str) -> dict[str, Any]:
    """Return the v1.ContainerStatus that follows the last one of the earlier run."""
    state = container["state"]
    ended = state.get("terminated")
    following = {**container, "state": {"waiting": waiting}, "ready": False, "started": False}
    if "waiting" in state and not has_begun(container):
        return following  # it had not started, or its last end was counted already
    if ended is None:
        ended = {
            "exitCode": 137,
            "reason": REASON,
            "message": f"Slurm took job {job_id} back into its queue",
            "startedAt": state.get("running", {}).get("startedAt"),
            "finishedAt": None,
        }
        if container.get("containerID"):
            ended["containerID"] = container["containerID"]
    return {**following, "lastState": {"terminated": ended}, "restartCount": container.get("restartCount", 0) + 1}
