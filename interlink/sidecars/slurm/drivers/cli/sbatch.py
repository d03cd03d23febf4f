"""``sbatch``: one job from a request. Success is exit status 0 and a job id, and nothing else (sbatch(1)).

The script goes in on stdin, and the environment as sbatch's own with ``--export=ALL``: so the job gets exactly what was
asked for, nothing of the service's, and no value stands in an argv, which every user of the host can read.
"""

import re
from dataclasses import dataclass

from interlink.sidecars.slurm.driver import JobRequest, SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli import words
from interlink.sidecars.slurm.drivers.slurm_errors import submit_failure
from interlink.sidecars.slurm.transport.host import Finished

#: Kept of the host's own environment: where slurm.conf is.
KEEP = ("SLURM_CONF",)
_JOB_ID = re.compile(r"([0-9]+)(?:;\S*)?")
_OPTION = re.compile(r"[a-z][a-z0-9-]*")
#: What the sidecar says itself, or what would change who runs what, where its output goes, or what sbatch answers.
_OWN = """
account array batch chdir cluster clusters comment constraint cpus-per-task error export export-file get-user-env gid
gres help input job-name mem no-requeue nodes ntasks open-mode output parsable partition qos quiet requeue reservation
signal test-only time tmp uid usage verbose version wait wrap
"""
OWN_OPTIONS = frozenset(_OWN.split())
#: sbatch's own words about what it was given; nothing was sent.
_USAGE_STATUS = 255


@dataclass(frozen=True)
class Sbatch:
    """One submit."""

    program: str
    request: JobRequest

    def argv(self) -> list[str]:
        """Return the command. Raises SlurmRefused for an option that a request may not carry."""
        request = self.request
        said: dict[str, object] = {
            "parsable": "",
            "job-name": request.name,
            "comment": request.comment,
            "chdir": request.working_directory,
            "output": request.output.replace("%", "%%"),
            "error": request.output.replace("%", "%%"),
            "input": "/dev/null",
            "open-mode": "append",
            "export": "ALL",
            "nodes": request.nodes,
            "ntasks": request.tasks,
            "cpus-per-task": request.cpus,
            "mem": f"{request.memory_mib}M",
            "requeue" if request.requeue else "no-requeue": "",
        }
        given: dict[str, object] = {
            "time": request.time_limit_minutes,
            "partition": request.partition,
            "account": request.account,
            "qos": request.qos,
            "reservation": request.reservation,
            "constraint": request.constraint,
            "gres": ",".join(request.gres),
            "tmp": f"{request.tmp_mib}M" if request.tmp_mib else "",
            "signal": request.signal,
        }
        said |= {name: value for name, value in given.items() if value not in (None, "")}
        for name, value in request.options.items():
            if name in OWN_OPTIONS or not _OPTION.fullmatch(name):
                raise SlurmRefused(f"a job cannot be given sbatch's option --{name[:40]} here")
            said[name] = value
        words = [f"--{name}={value}" if value != "" else f"--{name}" for name, value in said.items()]
        if "\0" in "".join(words):
            raise SlurmRefused("a value with a zero byte in it cannot be told to Slurm")
        return [self.program, *words]

    def environment(self) -> dict[str, str]:
        """Return all that the job gets; sbatch takes options of its own from names of Slurm's."""
        given = self.request.environment.items()
        return {name: value for name, value in given if not name.startswith(("SLURM_", "SBATCH_"))} or {
            "PATH": "/usr/bin:/bin"
        }

    def stdin(self) -> str:
        """Return the script, with a command before anything that sbatch could read as an #SBATCH line."""
        first, _, rest = self.request.script.partition("\n")
        return f"{first}\n:\n{rest}"

    @staticmethod
    def parse(finished: Finished) -> int:
        """Return the job's id. Raises SlurmRefused, and SlurmUnavailable where a job may have come of it."""
        last = finished.output.strip().rpartition("\n")[2]
        match = _JOB_ID.fullmatch(last)
        if finished.status == 0 and match:
            return int(match[1])
        text = words.said(finished) or f"sbatch ended with status {finished.status} and said nothing"
        number = words.error_number(text)
        if number is None:
            if finished.status == _USAGE_STATUS:
                raise SlurmRefused(text)
            raise SlurmUnavailable(text)
        raise submit_failure(number, text).error()
