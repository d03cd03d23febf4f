"""``pod_runner PLAN``: reads the plan, claims the job's folder, runs the pod. What the batch script becomes.

``pod_runner --pull`` is the runner's own helper (``images/puller.py``); so are ``--spread FILE``, ``--node FILE`` and
``--task FILE`` (``mpi.py``).

Exit status: 0 when every container ended with 0, 1 when one did not, 2 when the pod could not be run at all.
"""

import os
import sys
from typing import Any, Dict, List

from interlink.runner import mpi
from interlink.runner.files import RunnerError, read_json, say
from interlink.runner.guard import Guard, guarded
from interlink.runner.images import puller
from interlink.runner.pod import PodRunner
from interlink.runner.report import VERSION, Reporter

CLAIM_FILE = "claim"


def main(arguments: List[str]) -> int:
    """Run the pod of a plan; return the exit status."""
    if arguments == ["--pull"]:
        return puller.main()
    if len(arguments) == 2 and arguments[0] in ("--spread", "--node", "--task"):
        return mpi.main(*arguments)
    if len(arguments) != 1:
        say("usage: pod_runner PLAN")
        return 2
    job = os.environ.get("SLURM_JOB_ID", str(os.getpid()))
    os.umask(0o022)
    try:
        plan = read_plan(arguments[0])
        owner = claim(plan["folder"], job)
        if owner != job:
            say("job {} has this pod already; job {} starts nothing".format(owner, job))
            return 0
        return guarded(lambda guard: run(plan, job, guard))
    except (RunnerError, OSError, KeyError, TypeError, ValueError) as error:
        say("the pod cannot be run: {}: {}".format(type(error).__name__, error))
        return 2


def run(plan: Dict[str, Any], job: str, guard: Guard) -> int:
    """Run the pod, with its reports; a fault before any container runs is reported as every container's end."""
    reporter = Reporter(plan, job, int(os.environ.get("SLURM_RESTART_COUNT") or 0))
    os.makedirs(os.path.join(plan["folder"], "logs"), 0o700, exist_ok=True)
    return PodRunner(plan, job, guard, reporter).run()


def read_plan(path: str) -> Dict[str, Any]:
    """Return the plan. Raises RunnerError for one that this runner cannot carry out."""
    try:
        plan = read_json(path)
    except ValueError as error:
        raise RunnerError("{} is no plan: {}".format(path, error)) from error
    if not isinstance(plan, dict) or plan.get("version") != VERSION:
        raise RunnerError("{}: this runner carries out plans of version {}".format(path, VERSION))
    return plan


def claim(folder: str, job: str) -> str:
    """Claim the pod for this job, once for ever; return the id of the job that has it."""
    path = os.path.join(folder, CLAIM_FILE)
    partial = "{}.{}".format(path, job)
    with open(partial, "w", encoding="utf-8") as file:
        file.write(job)
    try:
        # A link either makes the claim whole or finds one there, on network file systems too.
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(partial)
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
