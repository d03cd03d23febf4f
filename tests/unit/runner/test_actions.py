"""Attempts of handlers: real children, real servers on loopback."""

import http.server
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from interlink.runner.actions import Action, Enter, start
from interlink.runner.enter import Entry
from interlink.runner.grpc_health import DATA, SETTINGS, frame
from interlink.runner.guard import Guard
from interlink.runner.handlers import Outcome
from interlink.runner.processes import running
from interlink.runner.runtimes import Launch

PLAIN = {"PATH": os.environ["PATH"]}


@pytest.fixture
def guard() -> Guard:
    return Guard()


def here(**environment: str) -> Enter:
    """Return how a command starts out here, as for a container on the host."""
    return lambda argv: Entry(Launch(argv, {**PLAIN, **environment}, "/"))


def outcome(action: Action, within: float = 10) -> Outcome:
    """Wait for the action as the runner's loop does."""
    end = time.monotonic() + within
    while True:
        found = action.poll(time.monotonic())
        if found is not None:
            return found
        assert time.monotonic() < end
        # Its output has ended, and the process may not have yet.
        select.select([action.fd] if action.fd >= 0 else [], [], [], 0.05)
        time.sleep(0.005)


def run(handler: dict[str, Any], guard: Guard, timeout: float = 5, enter: Enter | None = None) -> Outcome:
    """Start one attempt and wait for its outcome."""
    return outcome(start(handler, time.monotonic(), timeout, enter or here(), guard))


class Site(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path names; /to/WHERE redirects."""

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path[len("/to") :].replace("/http:", "http:"))
        else:
            self.send_response(int(self.path.strip("/")[:3]))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Site)
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def http_get(site: http.server.HTTPServer, path: str, **more: Any) -> dict[str, Any]:
    """Return the handler for a path of the server."""
    return {"kind": "httpGet", "host": "127.0.0.1", "port": site.server_port, "path": path, **more}


class TestExec:
    """A command inside the container, here on the host."""

    def test_exit_status_0_is_success_and_the_output_is_the_message(self, guard: Guard) -> None:
        command = ["sh", "-c", 'echo "$A"; echo err >&2; cat']
        assert run({"kind": "exec", "command": command}, guard, enter=here(A="x y")) == Outcome(True, "x y\nerr")

    def test_any_other_status_is_failure(self, guard: Guard) -> None:
        assert run({"kind": "exec", "command": ["sh", "-c", "echo no; exit 3"]}, guard) == Outcome(False, "no")

    def test_a_missing_program_is_failure_with_its_name(self, guard: Guard) -> None:
        found = run({"kind": "exec", "command": ["no-such-program"]}, guard)
        assert not found.success
        assert "no-such-program" in found.message

    def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(self, guard: Guard, tmp_path: Any) -> None:
        script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
        found = run({"kind": "exec", "command": ["sh", "-c", script]}, guard, timeout=0.5)
        assert found == Outcome(False, f'command timed out: "sh -c {script}" timed out after 500ms')
        assert int((tmp_path / "pid").read_text()) not in running()

    def test_much_output_is_cut(self, guard: Guard) -> None:
        found = run({"kind": "exec", "command": ["sh", "-c", "yes | head -c 300000"]}, guard)
        assert found.success
        assert 10_000 < len(found.message) <= 10_240


class TestHttp:
    """GET, as the kubelet asks."""

    @pytest.mark.parametrize("status", [200, 204, 399])
    def test_200_to_399_is_success(self, guard: Guard, site: http.server.HTTPServer, status: int) -> None:
        assert run(http_get(site, f"/{status}"), guard) == Outcome(True, "")

    @pytest.mark.parametrize("status", [400, 500])
    def test_the_rest_is_failure_in_the_kubelets_words(
        self, guard: Guard, site: http.server.HTTPServer, status: int
    ) -> None:
        assert run(http_get(site, f"/{status}"), guard) == Outcome(
            False, f"HTTP probe failed with statuscode: {status}"
        )

    def test_a_redirect_on_the_same_host_is_followed_and_another_host_is_success(
        self, guard: Guard, site: http.server.HTTPServer
    ) -> None:
        assert run(http_get(site, "/to/500"), guard) == Outcome(False, "HTTP probe failed with statuscode: 500")
        assert run(http_get(site, "/to/http://elsewhere.invalid/"), guard).success

    def test_headers_are_the_pods_and_the_kubelets(self, guard: Guard, site: http.server.HTTPServer) -> None:
        assert run(http_get(site, "/200?a=b c", headers=[["Host", "x.y"], ["X-A", "ä"]]), guard).success
        path, headers = site.seen[0]  # type: ignore[attr-defined]
        assert path == "/200?a=b%20c"
        assert headers["Host"] == "x.y"
        assert headers["X-A"].encode("latin-1").decode() == "ä"
        assert headers["User-Agent"].startswith("kube-probe/")

    def test_nobody_there_is_failure_in_the_kubelets_words(self, guard: Guard) -> None:
        found = run({"kind": "httpGet", "host": "127.0.0.1", "port": 1, "path": "ready"}, guard)
        assert found == Outcome(
            False, 'Get "http://127.0.0.1:1/ready": dial tcp 127.0.0.1:1: connect: connection refused'
        )

    def test_a_name_that_nobody_knows_is_failure_in_the_kubelets_words(
        self, guard: Guard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(*_words: object, **_options: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        found = run({"kind": "httpGet", "host": "nobody.invalid", "port": 1, "scheme": "HTTPS"}, guard)
        assert found == Outcome(False, 'Get "https://nobody.invalid:1/": dial tcp: lookup nobody.invalid: no such host')

    def test_a_server_that_hangs_up_is_the_end_of_the_file(self, guard: Guard) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            thread = threading.Thread(target=_hang_up, args=(server,))
            thread.start()
            found = run({"kind": "httpGet", "host": "127.0.0.1", "port": port}, guard)
            thread.join()
        assert found == Outcome(False, f'Get "http://127.0.0.1:{port}/": EOF')

    def test_a_server_that_never_answers_is_a_timeout(self, guard: Guard) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            found = run({"kind": "httpGet", "host": "127.0.0.1", "port": port}, guard, timeout=0.3)
        words = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        assert found == Outcome(False, f'Get "http://127.0.0.1:{port}/": {words}')


def _hang_up(server: socket.socket) -> None:
    """Take one request and close."""
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)


def test_a_port_that_listens_is_success(guard: Guard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        handler = {"kind": "tcpSocket", "host": "", "port": server.getsockname()[1]}
        assert run(handler, guard).success
    handler["host"] = "127.0.0.1"
    assert run(handler, guard).message == f"dial tcp 127.0.0.1:{handler['port']}: connect: connection refused"


@pytest.mark.parametrize(("status", "success"), [(1, True), (2, False)])
def test_a_grpc_server_says_whether_it_serves(guard: Guard, status: int, success: bool) -> None:
    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            body = b"\0\0\0\0\x02\x08" + bytes([status])
            connection.sendall(frame(SETTINGS, 0, 0, b"") + frame(DATA, 0, 1, body))
            while connection.recv(65536):
                continue

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        handler = {"kind": "grpc", "host": "127.0.0.1", "port": server.getsockname()[1], "service": "s"}
        found = run(handler, guard)
        thread.join()
    assert found.success is success
    assert success or found.message == 'service unhealthy (responded with "NOT_SERVING")'


def test_a_pause_is_success_and_ends_when_it_is_cancelled(guard: Guard) -> None:
    assert run({"kind": "sleep", "seconds": 0}, guard) == Outcome(True, "")
    action = start({"kind": "sleep", "seconds": 60}, time.monotonic(), 100, here(), guard)
    action.cancel()
    assert action.poll(time.monotonic()) == Outcome(False, "cancelled")
    with pytest.raises(ProcessLookupError):
        os.kill(action.pid, 0)
