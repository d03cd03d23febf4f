"""Memory of the processes that stay."""

import subprocess
import sys

import pytest

#: Frees a block as large as TLS has for a connection, then takes and frees 200, between which something stays.
CONNECTIONS = """
import gc
from interlink import memory

def resident():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024

{first}
block = bytearray(b"x" * 262144)
del block
before = resident()
blocks, kept = [], []
for number in range(200):
    blocks.append(bytearray(262144))
    kept.append(bytes(1000))
blocks.clear()
gc.collect()
print(resident() - before)
"""


def left_behind(first: str) -> int:
    """Return the MiB that 200 connections leave behind in a process that begins like this."""
    command = [sys.executable, "-c", CONNECTIONS.format(first=first)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(left_behind("") < 20, reason="this C library gives freed blocks back by itself")
def test_what_many_connections_took_goes_back_to_the_system() -> None:
    assert left_behind("memory.settle()") < 10
