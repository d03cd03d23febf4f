"""The runner's few words to the outside: the batch job's own log, and files that are there whole or not at all."""

import os
import sys


class RunnerError(Exception):
    """The pod, or one of its containers, cannot be run; the message says why."""


def say(text: str) -> None:
    """Write a line into the batch job's own log."""
    sys.stderr.write("pod_runner: {}\n".format(text))
    sys.stderr.flush()


def write_whole(path: str, data: bytes) -> None:
    """Write a file so that readers see all of it or nothing."""
    partial = os.path.join(os.path.dirname(path), ".{}.{}".format(os.path.basename(path), os.getpid()))
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        os.rename(partial, path)
    except OSError:
        if os.path.exists(partial):
            os.unlink(partial)
        raise
