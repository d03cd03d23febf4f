"""Command line of the demo, which the Makefile calls: ``up``, ``deploy``, ``venv`` and ``constraints``."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from tests.demo import constraints, parts, show
from tests.testbed import lifecycle
from tests.testbed.bed import Bed
from tests.testbed.errors import TestbedError


def up(bed: Bed) -> None:
    """Bring everything up, then run a pod and show it."""
    began = time.monotonic()
    deploy(bed)
    show.show(bed)
    print(show.how_to_use(bed))
    print(f"\nmake demo took {time.monotonic() - began:.0f} s.")


def deploy(bed: Bed) -> None:
    """Bring the test bed up and the project upon it."""
    lifecycle.up(bed, beyond=parts.PROJECT)


def venv(bed: Bed) -> None:
    """Make the virtual environment only."""
    lifecycle.up(bed, ["tools"], beyond=[parts.TOOLS])


COMMANDS: dict[str, tuple[Callable[[Bed], None], str]] = {
    "up": (up, "bring the test bed and the project up, and run a pod"),
    "deploy": (deploy, "bring the test bed and the project up"),
    "venv": (venv, "install the development tools in .venv"),
    "constraints": (constraints.renew, "write the newest versions of all dependencies into constraints.txt"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text)
    options = parser.parse_args(arguments)
    try:
        COMMANDS[options.command][0](Bed())
    except TestbedError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; `make demo` goes on from here, `make demo-down` removes what is there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
