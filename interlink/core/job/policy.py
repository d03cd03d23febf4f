"""Which of sbatch's options a pod may use: what is never let through, and what the administrator says.

Called by ``placement``. Refused always is what changes the job's user, its script, its streams, its environment or how
we find it again, what reads a file of the edge host, and what would not make one batch job of one pod.
"""

from dataclasses import dataclass, field

from interlink.core.errors import UnsupportedPod
from interlink.core.job.flags import Flags

_IDENTITY = "the site's policy says whose job it is"
_STREAMS = "the job's streams are the pod runner's"
_SCRIPT = "the job's script is the pod runner"
_FILE = "it would read a file of the edge host"
_COMMENT = "the pod's UID stands there, by which its job is found again"
_ONE_JOB = "a pod is one job of this cluster"
_CONTAINER = "the pod's own image is its container"
_TALK = "it tells sbatch what to print, and means nothing for a pod"
_SIZE = "say the pod's cpu and memory instead"

NEVER = {
    "uid": _IDENTITY, "gid": _IDENTITY,
    "output": _STREAMS, "error": _STREAMS, "input": _STREAMS, "open-mode": _STREAMS,
    "wrap": _SCRIPT, "chdir": _SCRIPT,
    "export": "the job's environment is the administrator's (JobEnvironment); containers have env",
    "export-file": _FILE, "nodefile": _FILE, "bbf": _FILE,
    "get-user-env": "it would run the user's shell",
    "bb": "burst buffers run commands at the site", "power": _TALK,
    "comment": _COMMENT, "extra": _COMMENT,
    "container": _CONTAINER, "container-id": _CONTAINER, "container-type": _CONTAINER,
    "array": _ONE_JOB, "clusters": _ONE_JOB, "wait": _ONE_JOB, "test-only": _ONE_JOB,
    "cpus-per-gpu": _SIZE, "mem-per-gpu": _SIZE, "mem-update": _SIZE,
    "help": _TALK, "usage": _TALK, "version": _TALK, "verbose": _TALK, "quiet": _TALK, "parsable": _TALK,
    "ignore-pbs": _TALK,
}  # fmt: skip
#: Options whose value sbatch takes for a file's name when it has a slash (sbatch(1), --nodelist).
_FILE_IF_SLASH = ("nodelist", "exclude")


@dataclass(frozen=True)
class FlagPolicy:
    """The administrator's part: an empty ``allowed`` lets every option through that is not refused."""

    allowed: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset({"priority", "reboot"})
    forced: Flags = field(default_factory=dict)

    def check(self, where: str, flags: Flags) -> None:
        """Raise UnsupportedPod for the first of the pod's flags that the site does not let through."""
        refuse_never(where, flags)
        for name, value in flags.items():
            if name in self.refused or (self.allowed and name not in self.allowed):
                raise UnsupportedPod(f"{where}: --{name} is not allowed on this site; ask its administrator")
            if self.forced.get(name, value) != value:
                raise UnsupportedPod(
                    f"{where}: --{name}={value[:60]} is not allowed: this site sets --{name}={self.forced[name]}"
                )

    def within(self, forced: Flags) -> "FlagPolicy":
        """Return the policy with more that is forced, as a namespace's."""
        return FlagPolicy(self.allowed, self.refused, {**self.forced, **forced})


def refuse_never(where: str, flags: Flags) -> None:
    """Raise UnsupportedPod for the first flag that nobody may use, the administrator included."""
    for name, value in flags.items():
        if name in NEVER:
            raise UnsupportedPod(f"{where}: --{name} is never possible: {NEVER[name]}")
        if name in _FILE_IF_SLASH and "/" in value:
            raise UnsupportedPod(f'{where}: --{name} cannot have a "/" in it: sbatch would read that file')
