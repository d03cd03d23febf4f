"""Ports for servers that are bound later than they are chosen."""

import os
import random
import socket
from contextlib import suppress


def free_port() -> int:
    """Return a port that no other worker takes, nor the kernel by itself, which begins at 32768 (ip(7))."""
    first = 20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for port in random.sample(range(first, first + 1_000), 1_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port
    raise AssertionError("no port is free")
