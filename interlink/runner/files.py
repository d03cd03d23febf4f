"""Text in and out (its form: see the package), the batch job's log, and files that are there whole or not at all."""

import json
import os
import shutil
import sys
from typing import Any


class RunnerError(Exception):
    """The pod, or one of its containers, cannot be run; the message says why."""


def words(error: Exception) -> str:
    """Return what an error says; Python's own words show a file's name in escapes where the locale is C."""
    if isinstance(error, OSError) and error.filename is not None and error.errno is not None:
        return "{}: {}".format(os.fsdecode(error.filename), os.strerror(error.errno or 0))
    return str(error)


def say(text: str) -> None:
    """Write a line into the batch job's own log; on a full disk it is lost, and the pod is not."""
    sys.stderr.flush()
    try:
        # Not by a buffer: what stays in one after a failure fails again, at the latest with the exit status.
        os.write(sys.stderr.fileno(), as_utf8("pod_runner: {}\n".format(text)))
    except OSError:
        pass


def read_json(path: str) -> Any:
    """Return a JSON document with its text in the file system's form. Raises OSError, ValueError."""
    with open(path, "rb") as file:
        return json.loads(os.fsdecode(file.read()))


def as_utf8(text: str) -> bytes:
    """Return text in the file system's form as UTF-8."""
    try:
        return os.fsencode(text).decode("utf-8", "replace").encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")  # it did not come from outside: no form but Python's own


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


def remove_tree(folder: str) -> None:
    """Remove a folder with all in it, folders that a container closed to its own user included; gone is well too."""
    if not os.path.isdir(folder):
        return
    for path, _folders, _files in os.walk(folder):  # from the top: a folder is opened before it is looked into
        os.chmod(path, 0o700)
        for name in _folders:
            inner = os.path.join(path, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
