"""Numbers as sbatch writes them: counts, sizes, times; each with the bound that Slurm's own field has.

Called by ``placement``, ``resources`` and the driver's mapping. Source: sbatch(1), and slurm.h for the widths.
Invariant: a number that Slurm's field cannot hold is refused here in words, and never wraps around there.
"""

import re

from interlink.core.errors import UnsupportedPod

#: uint16_t without NO_VAL16 and INFINITE16: CPUs of one task.
MOST_CPUS = 0xFFFD
#: uint32_t without NO_VAL and INFINITE: nodes, tasks, minutes, MiB of --tmp, pieces of a GRES.
MOST = 0xFFFFFFFD
#: uint64_t whose highest bit says "per CPU": MiB of memory. Below 2**53, so that every JSON keeps it.
MOST_MEMORY = 2**53 - 1
#: uint16_t: seconds of --signal.
MOST_WARNING = 0xFFFF

_SIZE = re.compile(r"(?P<number>[0-9]{1,18})(?P<unit>[KMGT]?)B?", re.IGNORECASE)
_KIB = {"K": 1, "": 1024, "M": 1024, "G": 1024**2, "T": 1024**3}
_TIME = re.compile(
    r"(?:(?P<days>[0-9]{1,9})-)?(?P<first>[0-9]{1,12})(?::(?P<second>[0-9]{1,9}))?(?::(?P<third>[0-9]{1,9}))?"
)


def count(where: str, text: str, *, most: int = MOST) -> int:
    """Return a count of 1 or more; a range from a number to itself (``2-2``) is that number."""
    low, dash, high = text.partition("-")
    if not (low.isascii() and low.isdecimal()) or (dash and high != low) or len(low) > 18:
        raise UnsupportedPod(f"{where}: {text[:60]!r} is no number; write one, and no range")
    return bounded(where, int(low), least=1, most=most)


def mebibytes(where: str, text: str) -> int:
    """Return a size in MiB, rounded up: ``2000`` or ``2G``; units are powers of 1024, MiB where there is none."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UnsupportedPod(f"{where}: {text[:60]!r} is no size; write a number with K, M, G or T behind it")
    kib = int(match["number"]) * _KIB[match["unit"].upper()]
    if kib == 0:
        raise UnsupportedPod(f"{where}: 0 would be all that the node has; say how much")
    return bounded(where, -(-kib // 1024), most=MOST_MEMORY)


def minutes(where: str, text: str) -> int | None:
    """Return a time (``60``, ``60:30``, ``1:00:00``, ``2-12``, ``2-12:30:00``) in minutes, rounded up.

    None is no limit at all.
    """
    if text.upper() in ("UNLIMITED", "INFINITE"):
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise UnsupportedPod(f"{where}: {text[:60]!r} is no time; write minutes, H:M:S or D-H:M:S")
    numbers = [int(match[part] or 0) for part in ("first", "second", "third")]
    if match["days"] or match["third"]:
        hours, minute, second = numbers
    else:
        hours, (minute, second) = 0, numbers[:2]
    seconds = ((int(match["days"] or 0) * 24 + hours) * 60 + minute) * 60 + second
    return bounded(where, -(-seconds // 60), least=1)


def bounded(what: str, number: int, *, least: int = 0, most: int = MOST) -> int:
    """Return the number if Slurm can hold it; raise UnsupportedPod if not."""
    if not least <= number <= most:
        shown = str(number) if abs(number) < 10**20 else "a number of more than 20 digits"
        raise UnsupportedPod(
            f"{what}: {shown} is too {'large' if number > most else 'small'} for Slurm ({least} to {most})"
        )
    return number
