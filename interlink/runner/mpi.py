"""A container across its job's allocation: an MPI launcher on this node, the container's own command on each task.

Processes of the runner's own file meet here. ``across_tasks`` (called by ``container.py``) makes one start into
another; its process (``pod_runner --spread``) has srun keep one process on each node (``ranks.py``: it makes the
node's container and hands signals on), then runs srun or mpiexec, whose tasks enter those containers. What a task runs
comes from a file of the job's folder, so that neither a variable nor a word of the pod ever reaches the launcher.

Invariant: whichever of these processes ends first, and however, no task outlives it. The nodes' processes end every
task when their input is over, which this process holds; and their end ends the launcher.
"""

import json
import os
import select
import signal
import subprocess
import sys
from typing import Any, Dict, List, Optional

from interlink.runner.files import RunnerError, read_json, say, words, write_whole
from interlink.runner.processes import die_with_parent, kill_session
from interlink.runner.ranks import ASKED, END, GONE, READY, node, task
from interlink.runner.runtimes import Launch, Shared

#: The runtimes whose containers see the variables by which a launcher tells each task who it is.
RUNTIMES = ("apptainer", "charliecloud", "none")
#: mpiexec's flags for the number of tasks.
COUNTS = ("-n", "-np", "--np")
#: One process on each of the job's nodes, beside the tasks, on all of the node's cores that the job has.
BESIDE = ["--overlap", "--mem=0", "--export=ALL", "--ntasks-per-node=1", "--cpu-bind=none", "--mpi=none",
          "--kill-on-bad-exit=1"]  # fmt: skip
#: By these a job's variables would tell srun something else (srun(1), input environment variables).
OF_THE_TASKS = ("SLURM_CPUS_PER_TASK", "SRUN_CPUS_PER_TASK", "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE",
                "SLURM_TRES_PER_TASK", "SLURM_DISTRIBUTION", "SLURM_HINT")  # fmt: skip
#: How long the nodes have to end what is left of the tasks, in seconds.
LAST = 20.0
#: Exit statuses: a start that failed; ended by SIGTERM; by SIGKILL.
FAILED, TERMINATED, KILLED = 126, 128 + signal.SIGTERM, 128 + signal.SIGKILL


def across_tasks(plan: Dict[str, Any], spec: Dict[str, Any], shared: Shared) -> Launch:
    """Return the start of a container on every task of the job, from what the runtime says of it.

    Raises RunnerError where the runtime cannot, OSError where the job's folder takes no file.
    """
    kind = plan["runtime"]["kind"]
    if kind not in RUNTIMES:
        raise RunnerError("MPI is not possible with the runtime {}, only with {}".format(kind, ", ".join(RUNTIMES)))
    path = os.path.join(plan["folder"], "mpi-{}.json".format(spec["name"]))
    runner = [sys.executable, sys.argv[0]]
    count = int(os.environ.get("SLURM_JOB_NUM_NODES") or 1)
    content = {"launcher": command(plan["mpi"], [*runner, "--task", path]),
               "nodes": beside(plan["mpi"], count, [*runner, "--node", path]), "count": count,
               # A name that nobody else on a node can know, of a socket that needs no folder there.
               "socket": "interlink-" + os.urandom(16).hex(),
               "holder": shared.holder, "task": shared.task}  # fmt: skip
    write_whole(path, json.dumps(content).encode("ascii"))
    return Launch([*runner, "--spread", path], dict(os.environ), plan["folder"])


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


def beside(mpi: Dict[str, Any], count: int, process: List[str]) -> List[str]:
    """Return srun's words for one process on each of the job's nodes; with another launcher, srun is on PATH."""
    srun = (mpi.get("executable") or "srun") if mpi["launcher"] == "srun" else "srun"
    return [srun, *BESIDE, "--nodes={}".format(count), "--ntasks={}".format(count), *process]


def main(verb: str, path: str) -> int:
    """Carry out ``--spread FILE``, ``--node FILE`` or ``--task FILE``; return the exit status."""
    verbs = {"--spread": spread, "--node": node, "--task": task}
    try:
        return verbs[verb](read_json(path))
    except (OSError, KeyError, ValueError, RunnerError) as error:
        say("{} {}: {}".format(verb, path, words(error)))
        return FAILED


def spread(content: Dict[str, Any]) -> int:
    """Run the launcher to its end and return its exit status, by signal N as 128 + N. SIGTERM goes to every task."""
    return _Spread(content).run()


class _Spread:
    """The process beside the runner that has the launcher and the nodes' processes."""

    def __init__(self, content: Dict[str, Any]) -> None:
        self.content, self.parent = content, os.getppid()
        self.launcher: "Optional[subprocess.Popen[bytes]]" = None
        self.ready, self.unread = 0, b""
        self.asked, self.told, self.passed_on = False, False, False
        self.alone = False
        self.wakeup, waker = os.pipe()
        for descriptor in (self.wakeup, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        environment = {name: value for name, value in os.environ.items() if name not in OF_THE_TASKS}
        # In a session of their own: they outlive this process until they have read that their input is over.
        self.nodes = subprocess.Popen(content["nodes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
                                      start_new_session=True)  # fmt: skip

    def run(self) -> int:
        """Return the exit status."""
        while True:
            if self.launcher is not None and self.launcher.poll() is not None:
                return self._end(_status(self.launcher.returncode))
            if self.alone:
                return self._give_up()
            if self.asked and self.launcher is None:
                return self._end(TERMINATED)
            if self.asked and not self.told:
                self.told = True
                self._tell(END)
            if self.launcher is None and self.ready == self.content["count"]:
                self.launcher = subprocess.Popen(self.content["launcher"], preexec_fn=die_with_parent)
            self._wait()

    def _ask(self, _number: int, _frame: object) -> None:
        self.asked = True

    def _wait(self) -> None:
        """Wait for a signal, or for what the nodes say."""
        assert self.nodes.stdout is not None
        said = self.nodes.stdout.fileno()
        waiting = select.poll()
        for descriptor in (self.wakeup, said):
            waiting.register(descriptor, select.POLLIN)
        for descriptor, _ in waiting.poll():
            if descriptor == self.wakeup:
                os.read(self.wakeup, 4096)
            else:
                data = os.read(said, 4096)
                self.alone = self.alone or not data
                *lines, self.unread = (self.unread + data).split(b"\n")
                for line in lines:
                    self._hear(line)

    def _hear(self, line: bytes) -> None:
        """Take a node's word: that it is ready or gone, or that Slurm has asked the job's steps, not the runner."""
        self.ready += line == READY
        self.alone = self.alone or line == GONE
        if line == ASKED and not self.passed_on:
            self.passed_on = True
            os.kill(self.parent, signal.SIGTERM)

    def _tell(self, word: bytes) -> None:
        assert self.nodes.stdin is not None
        try:
            self.nodes.stdin.write(word)
            self.nodes.stdin.flush()
        except BrokenPipeError:
            pass  # they have ended, which is heard next

    def _give_up(self) -> int:
        """Return the exit status where a node's process has ended before the tasks; end these."""
        if self.launcher is None:
            code = self._end(FAILED)
            say("the container could not be made on every node")
            return code
        say("a node's process beside the tasks has ended: the tasks are ended")
        self.launcher.terminate()  # srun and mpiexec end their tasks at once
        self.launcher.wait()
        return self._end(KILLED)

    def _end(self, code: int) -> int:
        """Let the nodes end what is left of the tasks, and return the exit status."""
        assert self.nodes.stdin is not None
        self.nodes.stdin.close()
        try:
            self.nodes.wait(LAST)
        except subprocess.TimeoutExpired:
            say("the nodes' processes have not ended after {:.0f} s: Slurm ends them with the job".format(LAST))
            kill_session(self.nodes.pid)
        return code


def _status(code: int) -> int:
    """Return an exit status as a shell has it."""
    return code if code >= 0 else 128 - code
