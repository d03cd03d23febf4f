"""A container across its job's allocation: an MPI launcher on this node, the container's own command on each task.

Three processes of the runner's own file meet here. ``across_tasks`` (called by ``container.py``) makes one start into
another; its process (``pod_runner --spread``) runs srun or mpiexec and hands signals on; each task (``pod_runner
--task``) becomes the container. What a task runs comes from a file of the job's folder, so that neither a variable nor
a word of the pod ever reaches the launcher, and no launcher needs to be told which variables to pass on.
"""

import json
import os
import signal
import subprocess
import sys
from typing import Any, Dict, List

from interlink.runner.files import RunnerError, read_json, say, words, write_whole
from interlink.runner.processes import die_with_parent
from interlink.runner.runtimes import Launch

#: The runtimes whose containers see the variables by which a launcher tells each task who it is.
RUNTIMES = ("apptainer", "charliecloud", "none")
#: How those variables begin (PMI and PMIx; Open MPI; MPICH; Intel MPI; MVAPICH; Slurm).
TOLD = ("PMI", "OMPI_", "PRTE_", "MPI_", "MPICH_", "HYDI_", "I_MPI_", "MV2_", "SLURM_")
#: mpiexec's flags for the number of tasks.
COUNTS = ("-n", "-np", "--np")


def across_tasks(plan: Dict[str, Any], spec: Dict[str, Any], launch: Launch) -> Launch:
    """Return the start of a container on every task of the job, from its start on one.

    Raises RunnerError where the runtime cannot, OSError where the job's folder takes no file.
    """
    kind = plan["runtime"]["kind"]
    if kind not in RUNTIMES:
        raise RunnerError("MPI is not possible with the runtime {}, only with {}".format(kind, ", ".join(RUNTIMES)))
    path = os.path.join(plan["folder"], "mpi-{}.json".format(spec["name"]))
    if os.path.exists(_step_file(path)):
        os.unlink(_step_file(path))
    launcher = command(plan["mpi"], [sys.executable, sys.argv[0], "--task", path])
    content = {"launcher": launcher, "srun": plan["mpi"]["launcher"] == "srun", "argv": launch.argv,
               "environment": launch.environment, "folder": launch.folder}  # fmt: skip
    write_whole(path, json.dumps(content).encode("ascii"))
    return Launch([sys.executable, sys.argv[0], "--spread", path], dict(os.environ), plan["folder"])


def command(mpi: Dict[str, Any], task: List[str]) -> List[str]:
    """Return the launcher's words for the job that this process belongs to. The plan's flags win over ours.

    srun shares what the job has with exec and other steps (--overlap), and gives each task the job's cores for one.
    """
    flags = list(mpi.get("flags", ()))
    executable = mpi.get("executable") or mpi["launcher"]
    if mpi["launcher"] == "srun":
        ours = ["--overlap", "--mem=0", "--export=ALL"]
        if "SLURM_CPUS_PER_TASK" in os.environ:
            ours.append("--cpus-per-task=" + os.environ["SLURM_CPUS_PER_TASK"])
        return [executable, *ours, *flags, *task]
    counted = any(word.partition("=")[0] in COUNTS for word in flags)
    count = [] if counted else ["-n", os.environ.get("SLURM_NTASKS", "1")]
    return [executable, *count, *flags, *task]


def main(verb: str, path: str) -> int:
    """Carry out ``--spread FILE`` or ``--task FILE``; return the exit status."""
    try:
        return spread(path) if verb == "--spread" else task(path)
    except (OSError, KeyError, ValueError) as error:
        say("{} {}: {}".format(verb, path, words(error)))
        return 126


def spread(path: str) -> int:
    """Run the launcher to its end and return its exit status, by signal N as 128 + N. SIGTERM goes to every task."""
    content = read_json(path)
    launcher = subprocess.Popen(content["launcher"], preexec_fn=die_with_parent)

    def end(_number: int, _frame: object) -> None:
        # srun would end its tasks at once instead of handing SIGTERM on; the step itself takes it.
        if content["srun"] and os.path.exists(_step_file(path)):
            with open(_step_file(path), encoding="ascii") as file:
                subprocess.Popen([_beside(content["launcher"][0], "scancel"), "--signal=TERM", file.read()])
        else:
            launcher.terminate()

    signal.signal(signal.SIGTERM, end)
    code = launcher.wait()
    return code if code >= 0 else 128 - code


def task(path: str) -> int:
    """Become the container on one task. Raises OSError."""
    content = read_json(path)
    told = {name: value for name, value in os.environ.items() if name.startswith(TOLD)}
    if content["srun"] and told.get("SLURM_PROCID") == "0":
        step = "{}.{}".format(told["SLURM_JOB_ID"], told["SLURM_STEP_ID"])
        write_whole(_step_file(path), step.encode("ascii"))
    os.chdir(content["folder"] or ".")
    os.execvpe(content["argv"][0], content["argv"], {**content["environment"], **told})  # noqa: S606 - no shell, no text


def _step_file(path: str) -> str:
    """Return where the first task writes down which step it belongs to."""
    return path + ".step"


def _beside(executable: str, name: str) -> str:
    """Return another of Slurm's programs, from the folder of the one that is known."""
    return os.path.join(os.path.dirname(executable), name)
