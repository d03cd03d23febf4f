"""Entry point of ``interlink``: reads the command line, loads the configuration, starts the service that was named.

Exit status: 0 done, 1 the work failed, 2 wrong use or configuration (as argparse's own).
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from interlink.cli import config as config_commands
from interlink.cli import doctor, jobs, pod_api, services, vk
from interlink.cli.seeds import without_leading_dashes
from interlink.config import ConfigError
from interlink.http.address import AddressError
from interlink.http.server import AddressInUseError

EPILOG = """Configuration: the file of --config, else of INTERLINKCONFIGPATH, else
./kustomizations/InterLinkConfig.yaml, else /etc/interlink/InterLinkConfig.yaml; environment
variables win over the file. `interlink config reference` lists every key."""


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="interlink",
        description="Run Kubernetes pods as batch jobs on a Slurm site.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"interlink {version('interlink-edge')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="configuration file (InterLinkConfig.yaml)")
    services.add_commands(commands, common)
    vk.add_commands(commands, common)
    config_commands.add_commands(commands, common)
    doctor.add_commands(commands, common)
    jobs.add_commands(commands, common)
    pod_api.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = build_parser().parse_args(without_leading_dashes(sys.argv[1:] if arguments is None else arguments))
    try:
        status: int = options.run(options)
    except (ConfigError, AddressError) as error:
        print(f"interlink: {error}", file=sys.stderr)
        return 2
    except AddressInUseError as error:
        print(f"interlink: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
