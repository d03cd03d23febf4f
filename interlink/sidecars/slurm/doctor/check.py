"""What a check is, what it finds, and what all of them look at; run by ``interlink.cli.doctor``.

Invariant: a check never raises and never shows a secret: what fails becomes a finding in the words of what failed.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from interlink.config import Config
from interlink.sidecars.slurm.driver import SlurmDriver, SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.transport.hosts import SiteHosts


class Verdict(Enum):
    """How a check ended."""

    GOOD = "good"
    #: Works, but not as it should, or not everywhere.
    FAIR = "fair"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """What a check saw, and what to do where that is not good."""

    verdict: Verdict
    said: str
    todo: str = ""


@dataclass(frozen=True)
class Site:
    """What the checks look at."""

    config: Config
    hosts: SiteHosts
    driver: SlurmDriver
    #: Whether a job may be submitted, and whom the service has to be able to become.
    submit: bool = False
    users: tuple[str, ...] = ()


class Check:
    """One thing to look at. ``needed``: without it no pod runs. ``driver``: the way to Slurm that it speaks of."""

    name = ""
    needed = True
    driver = ""

    def applies(self, site: Site) -> bool:
        """Whether the check says anything about this site."""
        return bool(site)

    def look(self, site: Site) -> Finding:
        """Look. May raise what drivers and hosts raise."""
        raise NotImplementedError


@dataclass(frozen=True)
class Result:
    """One check's finding and how long it took."""

    check: Check
    finding: Finding
    seconds: float

    @property
    def stops_pods(self) -> bool:
        """Whether no pod runs until this is put right."""
        return self.check.needed and self.finding.verdict is Verdict.BAD


def good(said: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(Verdict.GOOD, said)


def fair(said: str, todo: str) -> Finding:
    """Return the finding that something is missing that pods can do without."""
    return Finding(Verdict.FAIR, said, todo)


def bad(said: str, todo: str) -> Finding:
    """Return the finding that this does not work."""
    return Finding(Verdict.BAD, said, todo)


def run_checks(checks: Iterable[Check], site: Site) -> Iterable[Result]:
    """Run those that apply, one after the other, and yield each result when it is there."""
    for check in checks:
        if not check.applies(site):
            continue
        began = time.monotonic()
        try:
            finding = check.look(site)
        except (OSError, SlurmRefused, SlurmUnavailable) as error:
            finding = bad(str(error), "put that right, and run this again")
        yield Result(check, finding, time.monotonic() - began)
