"""How often Python's garbage collector looks in the processes that stay. Called where each of them begins its work."""

import gc

#: New objects after which it looks through the youngest ones (by default 700). Nearly all are freed without it; with
#: the default it took a fourteenth of the virtual kubelet's CPU time.
_COLLECTED_AFTER = 20_000


def look_seldom() -> None:
    """Let the collector leave alone what is there now, modules above all, and look at the rest after more of it."""
    gc.set_threshold(_COLLECTED_AFTER, *gc.get_threshold()[1:])
    gc.collect()
    gc.freeze()
