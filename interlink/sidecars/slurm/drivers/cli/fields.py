"""The words of Slurm's columns → values; pure, shared by ``squeue`` and ``sacct``."""

import re

#: With these variables, times are seconds of the epoch, whatever the host's time zone (squeue(1), sacct(1)).
ENVIRONMENT = {"SLURM_TIME_FORMAT": "%s", "LC_ALL": "C"}
#: What the commands need of the host's own environment to find themselves and slurm.conf.
KEEP = ("PATH", "SLURM_CONF", "HOME", "LD_LIBRARY_PATH")
_NOTHING = {"", "(null)", "N/A", "None assigned", "Unknown", "None"}
_LIMIT = re.compile(r"(?:(?P<days>\d+)-)?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)")


def text(column: str) -> str:
    """Return the text; empty for the words that stand for none, but for "None", which is a reason."""
    column = column.strip()
    return "" if column in _NOTHING - {"None"} else column


def seconds(column: str) -> float | None:
    """Return a time as seconds of the epoch."""
    return float(column) if column.strip().isdecimal() and int(column) > 0 else None


def number(column: str) -> int | None:
    """Return a count."""
    return int(column) if column.strip().isdecimal() else None


def minutes(column: str) -> int | None:
    """Return a time limit, ``D-HH:MM:SS`` with its larger parts left out, in whole minutes; None for none."""
    match = _LIMIT.fullmatch(column.strip())
    if not match:
        return None
    days, hours, whole, rest = (int(part or 0) for part in match.group("days", "hours", "minutes", "seconds"))
    return (days * 24 + hours) * 60 + whole + (rest > 0)


def exit_code(column: str) -> int | None:
    """Return the exit status behind ``status:signal``: the status, or 128 and the signal, as a shell has it."""
    status, _, signal = column.strip().partition(":")
    if not (status.isdecimal() and signal.isdecimal()):
        return None
    return 128 + int(signal) if int(signal) else int(status)
