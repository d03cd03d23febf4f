"""Up, down, clean and status of the whole bed, one at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from . import dockerd, registry
from .bed import Bed
from .errors import TestbedError, tail
from .graph import Graph, closure
from .images import NAMES, PREFIX
from .layout import LABEL, NETWORK
from .part import Part
from .parts import parts


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _alone(bed: Bed) -> Iterator[None]:
    """Hold the bed's lock; who finds it held says so and waits."""
    bed.paths.home.mkdir(parents=True, exist_ok=True)
    with bed.paths.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            _say(f"another command works on this bed (pid {lock.read().strip() or 'unknown'}): waiting for its end …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not bed.paths.lock.exists():  # `clean` removed it while we waited
            with _alone(bed):
                yield
            return
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def up(bed: Bed, names: Sequence[str] = (), beyond: Sequence[Part] = ()) -> None:
    """Bring the bed up, or only the named parts and what they need; raises PartError.

    Parts `beyond` the bed's own are the caller's: what stands upon the bed and comes up in one graph with it.
    """
    with _alone(bed):
        bed.paths.make()
        wanted = [*parts(bed.layout), *beyond]
        Graph(bed, closure(wanted, names) if names else wanted, _say).up()


def down(bed: Bed) -> None:
    """Remove every trace of the bed but its cache."""
    with _alone(bed):
        _down(bed)


def clean(bed: Bed) -> None:
    """Remove the cache too, and the bed's images from a Docker that is not its own."""
    with _alone(bed):
        if bed.docker.answers():
            _remove_containers(bed)
            if bed.docker.host != dockerd.own_host(bed.paths):
                _remove_images(bed)
        _down(bed)
        if bed.paths.cache.exists():
            _say(f"removing {bed.paths.cache}")
            shutil.rmtree(bed.paths.cache)
        bed.paths.lock.unlink()
        with suppress(OSError):  # something of the user's lies there too
            bed.paths.home.rmdir()


def _down(bed: Bed) -> None:
    if registry.stop(bed):
        _say("the registry is stopped")
    own = bed.docker.host == dockerd.own_host(bed.paths)
    if own and (bed.paths.docker / "host").exists() and not bed.docker.answers():
        # Containers of a daemon that was killed lie in the cache: it takes a daemon to remove them.
        Graph(bed, closure(parts(bed.layout), ["docker"]), _say).up()
    if bed.docker.answers():
        _remove_containers(bed)
    dockerd.down(bed.paths)
    if bed.paths.run.exists():
        shutil.rmtree(bed.paths.run)
    _say("the bed is down")


def _remove_containers(bed: Bed) -> None:
    for name in bed.docker.containers(LABEL):
        _say(f"removing {name}")
        bed.docker.remove_container(name)
    bed.docker.remove_volumes(LABEL)
    if bed.docker.inspect("network", NETWORK) is not None:
        bed.docker("network", "rm", NETWORK)


def _remove_images(bed: Bed) -> None:
    for name in (*NAMES, "rootfs"):
        for image in bed.docker("image", "ls", "--quiet", f"{PREFIX}/{name}").split():
            bed.docker("image", "rm", "--force", image)


@dataclass(frozen=True)
class State:
    """What `status` says of one part."""

    part: str
    up: bool
    words: str


def status(bed: Bed) -> list[State]:
    """Ask every part's health check, all at once."""
    wanted = parts(bed.layout)
    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        return list(pool.map(lambda part: _state(bed, part), wanted))


def _state(bed: Bed, part: Part) -> State:
    try:
        return State(part.name, True, part.health(bed))
    except (TestbedError, OSError) as error:
        return State(part.name, False, tail(str(error), 1))
