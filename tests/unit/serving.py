"""Serves a WSGI app on a unix socket in a thread, as its service would, for tests that need a real peer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from waitress import wasyncore

from interlink.http.address import Address
from interlink.http.server import bind, create_server


@contextmanager
def served(app: Any, path: Path) -> Iterator[Address]:
    """Serve the app at the path; yields its address."""
    address = Address.parse(f"unix://{path}", 0)
    listener = bind(address)
    server = create_server(app, listener, threads=8)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield address
    finally:
        # The loop ends when its map of sockets is empty; only its own thread may close them.
        with suppress(OSError):  # it was awake for another reason, and has closed the trigger too
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
        thread.join(10)
        server.task_dispatcher.shutdown()
        listener.close()
