"""Limits of accounts and QOS by Slurm's names for them, as AssocGrpCpuLimit, QOSMaxMemoryPerUser, MaxCpuPerAccount.

Pure. A job that waits for one says so by its reason (``pending``); a submit that breaks one fails with 2050
(ESLURM_ACCOUNTING_POLICY) and the same name beside it (``drivers.slurm_errors``). Source: job_reason_codes.html and
job_state_reason_string() of Slurm 22.05 to 26.05. Of a submit was seen with 26.05: the number of jobs in the queue is
always looked at; every other limit only with a QOS of the flag DenyOnLimit, and then it is the job alone, whatever else
runs, that is held against it.
"""

import re
from dataclasses import dataclass

_NAME = re.compile(
    r"(?P<whose>Assoc|QOS|)(?P<kind>Grp|Max|Min)"
    r"(?P<what>Cpu|CPU|Memory|Mem|Node|GRES|BB|Billing|Energy|License|SubmitJobs?|Jobs?|WallDuration|Wall|Unknown)"
    r"(?P<time>(?:Run)?(?:Minutes|Mins))?(?:Per(?P<scope>Job|Node|User|Account|Acct))?(?:Limit|NotSatisfied)?"
)
#: MaxCpuPerAccount and its like are a QOS's, although their names do not say so.
_WHOSE = {"Assoc": "the account", "QOS": "the quality of service (QOS)", "": "the quality of service (QOS)"}
_WHO = {"User": "the user", "Account": "the account", "Acct": "the account"}
#: What is limited → in a sentence, and what of the pod asks for it.
_WHAT = {
    "cpu": ("cores", "cpu requests and limits"),
    "memory": ("memory", "memory requests and limits"),
    "mem": ("memory", "memory requests and limits"),
    "node": ("nodes", "number of nodes"),
    "gres": ("GPUs or other generic resources", "GPU limits"),
    "bb": ("burst buffer space", "burst buffer"),
    "billing": ("billed resources", "requests and limits"),
    "energy": ("energy", "requests and limits"),
    "license": ("licences", "licences"),
    "unknown": ("resources", "requests and limits"),
    "wall": ("time", "activeDeadlineSeconds"),
    "wallduration": ("time", "activeDeadlineSeconds"),
}


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit. ``kind``: Grp (of all jobs together), Max or Min. ``scope``: Job, Node, User, Account or ""."""

    name: str
    owner: str
    kind: str
    what: str
    minutes: bool
    scope: str

    @property
    def counts_jobs(self) -> bool:
        """Whether it is a number of jobs: then it says nothing about what a job asks for."""
        return "job" in self.what

    @property
    def of_one_job(self) -> bool:
        """Whether no job that breaks it can ever start, whatever else runs."""
        is_time = self.what.startswith("wall") and self.kind != "Grp"
        return not self.counts_jobs and (is_time or self.kind == "Min" or self.scope in ("Job", "Node"))

    def reached(self) -> str:
        """Return in a sentence why a job waits that may start once others have ended."""
        who = _WHO.get(self.scope, "the user")
        if self.counts_jobs:
            have = "has as many jobs in the queue" if self.what.startswith("submit") else "runs as many jobs"
            return f"{self.owner} {have} as it may" if self.kind == "Grp" else f"{who} {have} as {self.owner} allows"
        alone = f"of: {self._thing}, or this job alone asks for more"  # Slurm's reason is the same for both
        if self.kind == "Grp":
            return f"all jobs of {self.owner} together use as much as they may {alone}"
        return f"{who} uses as much as {self.owner} allows {alone}"

    def exceeded(self) -> tuple[str, str]:
        """Return in a sentence what the job alone asks for too much of, and what of the pod to change."""
        asked = f"lower {self._asked}"
        if self.kind == "Grp":
            return f"the job alone asks for more {self._thing} than all jobs of {self.owner} together may use", asked
        if self.kind == "Min":
            return f"the job asks for fewer {self._thing} than {self.owner} demands", f"raise {self._asked}"
        if self.what.startswith("wall"):
            return f"the job's time limit is longer than {self.owner} allows", asked
        if self.scope in _WHO:
            return f"the job alone asks for more {self._thing} than {self.owner} allows {_WHO[self.scope]}", asked
        each = " on one node" if self.scope == "Node" else ""
        return f"the job asks for more {self._thing}{each} than {self.owner} allows", asked

    @property
    def _thing(self) -> str:
        thing, _ = _WHAT[self.what]
        return f"minutes of {thing}" if self.minutes else thing

    @property
    def _asked(self) -> str:
        _, asked = _WHAT[self.what]
        if asked == "activeDeadlineSeconds":
            return asked
        return f"the pod's {asked}" + (", or activeDeadlineSeconds" if self.minutes else "")


def limit(name: str) -> Limit | None:
    """Return the limit of that name, None where it is none."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return Limit(
        name=name,
        owner=_WHOSE[match["whose"]],
        kind=match["kind"],
        what=match["what"].lower(),
        minutes=bool(match["time"]),
        scope=match["scope"] or "",
    )


def limit_in(text: str) -> Limit | None:
    """Return the limit that a text of Slurm's names, None where it names none."""
    return next((found for word in re.findall(r"\w+", text) if (found := limit(word)) is not None), None)
