"""What the processes that stay do about memory. Called where each of them begins its work."""

import ctypes
import gc

#: New objects after which the garbage collector looks through the youngest ones (by default 700). Nearly all are freed
#: without it; with the default it took a fourteenth of the virtual kubelet's CPU time.
_COLLECTED_AFTER = 20_000
#: mallopt(3): blocks from this size on are mapped by themselves, and go back to the system when they are freed. Unless
#: it is set, it begins at 128 KiB and rises with the first such block that is freed. It is that of the block which
#: Python's TLS has for each connection: 200 followed logs left 50 MiB behind for good.
_M_MMAP_THRESHOLD, _MAPPED_BYTES = -3, 256 * 1024
#: What may be free at the heap's end: by default less than zlib takes there, and to give that back each time, and take
#: it anew, made a pod's packing four times as slow.
_M_TRIM_THRESHOLD, _FREE_BYTES = -1, 2 * 1024 * 1024


def settle() -> None:
    """Let the garbage collector leave alone what is there now, modules above all, and have freed blocks given back.

    The second is glibc's; another C library does as it likes.
    """
    gc.set_threshold(_COLLECTED_AFTER, *gc.get_threshold()[1:])
    gc.collect()
    gc.freeze()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _FREE_BYTES)
