"""The command line: `python -m tests.testbed COMMAND`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from . import inventory, lifecycle
from .bed import Bed
from .docker import CLIENT
from .errors import TestbedError
from .graph import closure, log_files
from .parts import parts


def _up(bed: Bed, arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    lifecycle.up(bed, arguments.parts)
    print(f"the bed is up after {time.monotonic() - began:.1f} s; logs are in {bed.paths.logs}", file=sys.stderr)
    return 0


def _down(bed: Bed, _: argparse.Namespace) -> int:
    lifecycle.down(bed)
    return 0


def _clean(bed: Bed, _: argparse.Namespace) -> int:
    lifecycle.clean(bed)
    return 0


def _status(bed: Bed, arguments: argparse.Namespace) -> int:
    states = lifecycle.status(bed)
    if arguments.output == "json":
        print(json.dumps([asdict(state) for state in states], indent=2))
    else:
        width = max(len(state.part) for state in states)
        for state in states:
            print(f"{state.part:{width}}  {'up' if state.up else 'down':4}  {state.words}")
    return 0 if all(state.up for state in states) else 1


def _logs(bed: Bed, arguments: argparse.Namespace) -> int:
    part = closure(parts(bed.layout), [arguments.part])[-1]
    files = log_files(bed, part)
    if arguments.follow:
        return _follow(bed, part.journal_of, [str(file) for file in files])
    if files:
        sys.stdout.flush()
        os.spawnvp(os.P_WAIT, "tail", ["tail", f"--lines={arguments.lines}", *map(str, files)])
    if part.journal_of:
        print(f"==> journal of {part.journal_of} <==\n{bed.journal(part.journal_of, arguments.lines)}")
    if not files and not part.journal_of:
        print(f"{part.name} has no log: it was up before the bed looked", file=sys.stderr)
    return 0


def _follow(bed: Bed, container: str | None, files: list[str]) -> int:
    try:
        if container and bed.docker.inspect("container", container) and not any("/cluster/" in f for f in files):
            command = [CLIENT, "exec", container, "journalctl", "--follow"]
            return os.spawnvpe(os.P_WAIT, CLIENT, command, {**os.environ, **bed.docker.environment})
        return os.spawnvp(os.P_WAIT, "tail", ["tail", "--follow=name", "--retry", *files])
    except KeyboardInterrupt:
        return 130


def _kubeconfig(bed: Bed, _: argparse.Namespace) -> int:
    print(bed.kubeconfig)
    return 0


def _env(bed: Bed, _: argparse.Namespace) -> int:
    for name, value in bed.environment.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"export PATH={shlex.quote(str(bed.paths.bin))}:$PATH")
    return 0


def _inventory(bed: Bed, _: argparse.Namespace) -> int:
    print(inventory.render(bed), end="")
    return 0


def _load_image(bed: Bed, arguments: argparse.Namespace) -> int:
    for name in arguments.name:
        print(f"{name}: {'brought in' if bed.load_image(name) else 'was there'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[Bed, argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=words, description=words)
        command.set_defaults(run=run)
        return command

    command = add("up", _up, "bring the bed up, from whatever state it is in")
    command.add_argument("parts", nargs="*", metavar="PART", help="only these parts and what they need")
    add("down", _down, "remove every trace of the bed but its cache")
    add("clean", _clean, "remove the cache too")
    command = add("status", _status, "ask every part how it is; exit status 1 unless all are up")
    command.add_argument("-o", "--output", choices=("table", "json"), default="table")
    command = add("logs", _logs, "show the end of a part's logs")
    command.add_argument("part", metavar="PART")
    command.add_argument("-f", "--follow", action="store_true", help="go on as they grow")
    command.add_argument("-n", "--lines", type=int, default=50, help="how many lines of each (50)")
    add("kubeconfig", _kubeconfig, "print the path of the administrator's kubeconfig")
    add("env", _env, 'print exports for a shell: eval "$(python -m tests.testbed env)"')
    add("inventory", _inventory, "print the Ansible inventory of the bed")
    command = add("load-image", _load_image, "bring images of Docker's into the cluster")
    command.add_argument("name", nargs="+", metavar="NAME")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was begun is ended in order
    run: Callable[[Bed, argparse.Namespace], int] = arguments.run
    try:
        return run(Bed(), arguments)
    except TestbedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
