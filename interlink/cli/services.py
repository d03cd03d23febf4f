"""``interlink api``, ``slurm`` and ``mock``: each builds one service from the configuration and serves it.

Imports are inside the functions, so that a service loads only what it needs: the virtual kubelet's image has no Slurm,
and the edge host no Kubernetes client.
"""

import argparse
import logging
import os
from collections.abc import Sequence
from typing import Any

from interlink.config import Config, ConfigError, load_with_notes
from interlink.http.address import Address

log = logging.getLogger(__name__)


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the services' subcommands."""
    for name, run, text in (
        ("api", run_api, "the InterLink API: between the virtual kubelet and the sidecar"),
        ("slurm", run_slurm, "the Slurm sidecar: one batch job for each pod"),
        ("mock", run_mock, "a sidecar that only pretends: every pod runs at once, in memory"),
    ):
        command = commands.add_parser(name, parents=[common], help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(run=run)


def run_api(options: argparse.Namespace) -> int:
    """Serve the InterLink API."""
    from interlink.api.app import build_app  # noqa: PLC0415
    from interlink.api.auth import TokenFile  # noqa: PLC0415
    from interlink.http.client import HttpClient  # noqa: PLC0415
    from interlink.http.server import serve  # noqa: PLC0415

    config = prepare(options)
    address = Address.parse(config.interlink_url, config.interlink_port)
    if config.interlink_token_file is None and not address.is_local:
        raise ConfigError(
            f"InterlinkURL {address} can be reached from other hosts, and nothing says who may call: set "
            "InterlinkTokenFile, or listen on http://127.0.0.1 or unix:///PATH behind an authenticating proxy"
        )
    tokens = TokenFile(config.interlink_token_file) if config.interlink_token_file else None
    sidecar = HttpClient(sidecar_address(config), config.request_threads)
    app = build_app(sidecar, config.request_threads, tokens)
    serve(app, address, config.request_threads, on_stop=lambda: None)
    return 0


def run_slurm(options: argparse.Namespace) -> int:
    """Serve the Slurm sidecar."""
    from interlink.http.server import serve  # noqa: PLC0415
    from interlink.sidecars.app import build_app  # noqa: PLC0415
    from interlink.sidecars.slurm.backend import SlurmBackend  # noqa: PLC0415
    from interlink.sidecars.slurm.transport.host import HostUnavailable  # noqa: PLC0415

    config = prepare(options)
    if os.geteuid() == 0:
        log.warning("this runs as root, and so would the pods' jobs: give the service a user of its own")
    try:
        backend = SlurmBackend(config)
    except HostUnavailable as error:
        log.error("the job folders cannot be reached: %s (`interlink doctor` says more)", error)  # noqa: TRY400
        return 1
    backend.start()
    serve(build_app(backend), sidecar_address(config), config.request_threads, on_stop=backend.close)
    return 0


def run_mock(options: argparse.Namespace) -> int:
    """Serve the mock sidecar."""
    from interlink.http.server import serve  # noqa: PLC0415
    from interlink.sidecars.app import build_app  # noqa: PLC0415
    from interlink.sidecars.mock.backend import MockBackend  # noqa: PLC0415

    config = prepare(options)
    backend = MockBackend()
    serve(build_app(backend), sidecar_address(config), config.request_threads, on_stop=backend.close)
    return 0


def sidecar_address(config: Config) -> Address:
    """Return where the sidecar listens. Raises ConfigError where others than this host could reach it."""
    address = Address.parse(config.sidecar_url, config.sidecar_port)
    if not address.is_local:
        raise ConfigError(f"SidecarURL {address}: sidecars have no authentication: use unix:///PATH or loopback")
    return address


def prepare(options: argparse.Namespace) -> Config:
    """Load the configuration and set logging up."""
    config, notes = load_with_notes(options.config)
    set_up_logging(config, notes)
    return config


def set_up_logging(config: Config, notes: Sequence[str], level: int | None = None) -> None:
    """Log to stderr, where systemd's journal and kubectl logs take it; ``level`` counts before the configuration's."""
    if level is None:
        level = (
            logging.DEBUG if config.verbose_logging else logging.ERROR if config.errors_only_logging else logging.INFO
        )
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # waitress warns each time a request has to wait for a thread; long polls make that ordinary.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    for note in notes:
        log.warning("%s", note)
