"""Runs a Falcon app on waitress: unix socket or TCP, readiness told to systemd, a clean end on SIGTERM.

Called by each service's command. Waitress gives every request a thread of a pool; followed logs and long polls hold one
each, which is why the pool may be large and its limit a setting.
"""

import logging
import os
import signal
import socket
import stat
from collections.abc import Callable
from types import FrameType
from typing import Any

import waitress.channel
import waitress.server

from interlink import memory
from interlink.http.address import Address
from interlink.http.pool import GrowingPool

#: The largest request that is read: a pod and its ConfigMaps and Secrets (1 MiB each in Kubernetes), a dozen of them.
MAX_REQUEST_BYTES = 16 * 1024 * 1024

log = logging.getLogger(__name__)


class AddressInUseError(Exception):
    """Another process listens there already."""


def serve(app: Any, address: Address, threads: int, on_stop: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; call ``on_stop`` at once then, and return when requests have ended (5 s at most).

    Raises AddressInUseError and OSError where the address cannot be bound.
    """
    listener = bind(address)
    server = create_server(app, listener, threads)

    def stop(signum: int, _frame: FrameType | None) -> None:
        log.info("%s: stopping", signal.Signals(signum).name)
        notify_systemd("STOPPING=1")
        # Before waitress waits for its threads: long polls end when what they wait for is closed.
        on_stop()
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        log.info("listening on %s", address)
        memory.settle()
        notify_systemd("READY=1")
        server.run()
    finally:
        if address.path is not None:
            address.path.unlink(missing_ok=True)


def create_server(app: Any, listener: socket.socket, threads: int) -> Any:
    """Return a waitress server on a bound socket, as every service is set up, with so many threads at most."""
    server = waitress.server.create_server(
        app,
        sockets=[listener],
        threads=0,
        # More than the pool's threads: clients keep connections that are idle between requests.
        connection_limit=threads * 4,
        max_request_body_size=MAX_REQUEST_BYTES,
        # select(2) cannot look at more than 1,024 connections.
        asyncore_use_poll=True,
        # Lets a long answer notice that its client has gone (environ["waitress.client_disconnected"]).
        channel_request_lookahead=1,
        clear_untrusted_proxy_headers=True,
        ident="interlink",
    )
    server.task_dispatcher = GrowingPool(threads)
    return server


def bind(address: Address) -> socket.socket:
    """Return a bound socket; a stale unix socket of a killed service is replaced, a living one is not.

    A unix socket gets mode 0660: the folder's group is who may connect. Raises AddressInUseError.
    """
    if address.path is None:
        family, _, _, _, target = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(target)
        except OSError as error:
            listener.close()
            raise AddressInUseError(f"cannot listen on {address}: {error.strerror}") from error
        return listener
    path = address.path
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise AddressInUseError(f"cannot listen on {address}: another service answers there")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o117)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    return listener


def notify_systemd(state: str) -> None:
    """Tell systemd about this service's state (sd_notify(3)); does nothing outside of systemd."""
    target = os.environ.get("NOTIFY_SOCKET")
    if not target:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), target.replace("@", "\0", 1))
