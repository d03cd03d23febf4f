"""The gRPC probe against a server that is not ours: gRPC's own, with its own health service."""

import socket
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from interlink.runner.actions import start
from interlink.runner.enter import Entry
from interlink.runner.grpc_health import NO_STATUS
from interlink.runner.guard import Guard
from interlink.runner.handlers import Outcome, attempt
from interlink.runner.runtimes import Launch

Status = health_pb2.HealthCheckResponse
STATUSES = {"": Status.SERVING, "größe": Status.SERVING, "down": Status.NOT_SERVING, "odd": Status.UNKNOWN}
UNKNOWN = Outcome(False, 'service unhealthy (responded with "UNKNOWN", or the server does not know the service)')


@contextmanager
def serving(*servicers: Any) -> Iterator[int]:
    """Run a gRPC server with these health services; its port."""
    with futures.ThreadPoolExecutor(max_workers=2) as workers:
        server = grpc.server(workers, options=[("grpc.so_reuseport", 0)])
        for servicer in servicers:
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(grace=None).wait()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    servicer = health.HealthServicer()
    for service, status in STATUSES.items():
        servicer.set(service, status)
    with serving(servicer) as port:
        yield port


def check(port: int, service: str = "") -> Outcome:
    return attempt({"kind": "grpc", "host": "127.0.0.1", "port": port, "service": service})


@pytest.mark.parametrize(
    ("service", "outcome"),
    [
        ("", Outcome(True, "")),
        ("down", Outcome(False, 'service unhealthy (responded with "NOT_SERVING")')),
        ("odd", UNKNOWN),
        ("nobody", UNKNOWN),  # the server sends an empty message, and then that it was not found
        ("x" * 300, UNKNOWN),
        ("größe", Outcome(True, "")),
    ],
)
def test_a_status_that_the_server_gives_is_the_probes(port: int, service: str, outcome: Outcome) -> None:
    assert check(port, service) == outcome


def test_a_server_without_a_health_service_is_told_by_that() -> None:
    with serving() as port:
        assert check(port) == Outcome(False, f"grpc 127.0.0.1:{port}: {NO_STATUS}")


def test_a_server_that_has_gone_is_a_refused_connection() -> None:
    with serving() as port:
        pass
    assert "refused" in check(port).message


def stalling() -> Any:
    """Return a health service that takes calls, and answers none."""

    def never(request: object, context: Any) -> object:
        while context.is_active():
            time.sleep(0.02)
        return Status(status=Status.SERVING)

    servicer = health.HealthServicer()
    servicer.Check = never
    return servicer


@pytest.mark.parametrize("answers", [True, False])
def test_a_server_that_stalls_fails_at_the_time_out_whether_it_speaks_http2_or_nothing(answers: bool) -> None:
    guard = Guard()
    with serving(stalling()) as port, socket.create_server(("127.0.0.1", 0)) as mute:
        handler = {"kind": "grpc", "host": "127.0.0.1", "port": port if answers else mute.getsockname()[1]}
        began = time.monotonic()
        action = start(handler, began, 0.5, lambda argv: Entry(Launch(argv, {})), guard)
        while (outcome := action.poll(time.monotonic())) is None:
            time.sleep(0.02)
    assert outcome == Outcome(False, "timeout: health rpc did not complete within 500ms")
    assert 0.5 <= time.monotonic() - began < 5
