"""``interlink pod-api``: print what of the Pod API is supported here, field by field."""

import argparse
from typing import Any

from interlink.core.pod.support.page import page


def add_commands(commands: Any) -> None:
    """Add ``pod-api``."""
    parser = commands.add_parser("pod-api", help="print which fields of a pod are supported, as Markdown")
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    """Print the page."""
    print(page())
    return 0
