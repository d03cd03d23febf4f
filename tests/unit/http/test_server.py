"""The server and the client together, over a real unix socket and a real TCP port."""

import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interlink.http.address import Address
from interlink.http.client import HttpClient, PeerUnreachableError
from interlink.http.server import AddressInUseError, bind
from tests.unit.ports import free_port

SERVICE = """
    import sys
    import falcon
    from pathlib import Path
    from interlink.http.address import Address
    from interlink.http.app import Route, new_app
    from interlink.http.server import serve

    def echo(request, response):
        response.data = request.bounded_stream.read()

    def fail(request, response):
        raise RuntimeError("a secret detail")

    app = new_app()
    app.add_route("/echo", Route(echo))
    app.add_route("/fail", Route(fail))
    serve(app, Address.parse(sys.argv[1], 0), 4, on_stop=lambda: print("stopped", flush=True))
"""


@contextmanager
def service(address: Address, notify: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the little service; it tells as systemd would be told that it listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as readiness:
        readiness.bind(str(notify))
        readiness.settimeout(20)
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SERVICE), str(address)],
            env={"NOTIFY_SOCKET": str(notify)},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert readiness.recv(100) == b"READY=1"
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


@pytest.fixture(params=["unix", "tcp"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    url = f"unix://{tmp_path}/s.sock" if request.param == "unix" else f"http://127.0.0.1:{free_port()}"
    return Address.parse(url, 0)


def test_requests_of_any_method_with_a_body_are_answered(address: Address, tmp_path: Path) -> None:
    with service(address, tmp_path / "notify"):
        client = HttpClient(address)
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert client.request(method, "/echo", b"body").data == b"body"


def test_the_unforeseen_is_a_500_that_shows_no_detail(address: Address, tmp_path: Path) -> None:
    with service(address, tmp_path / "notify"):
        answer = HttpClient(address).request("GET", "/fail", headers={"InterLink-Http-Session": "CreatePod#7"})
        assert answer.status == 500
        assert b"CreatePod#7" in answer.data
        assert b"secret" not in answer.data


def test_sigterm_ends_it_cleanly(address: Address, tmp_path: Path) -> None:
    with service(address, tmp_path / "notify") as process:
        process.terminate()
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "stopped\n"
        assert address.path is None or not address.path.exists()


def test_the_socket_of_a_killed_service_is_taken_over(tmp_path: Path) -> None:
    address = Address.parse(f"unix://{tmp_path}/s.sock", 0)
    with service(address, tmp_path / "n1") as killed:
        killed.kill()
        killed.wait()
        with service(address, tmp_path / "n2"):
            assert HttpClient(address).request("GET", "/echo").status == 200


def test_an_address_that_answers_is_not_taken_over(address: Address, tmp_path: Path) -> None:
    with service(address, tmp_path / "notify"), pytest.raises(AddressInUseError, match="cannot listen on"):
        bind(address)


def test_a_unix_socket_is_for_owner_and_group_only(tmp_path: Path) -> None:
    with bind(Address.parse(f"unix://{tmp_path}/s.sock", 0)):
        assert (tmp_path / "s.sock").stat().st_mode & 0o777 == 0o660


def test_nobody_there_is_one_clear_error(address: Address) -> None:
    with pytest.raises(PeerUnreachableError, match="does not answer"):
        HttpClient(address).request("GET", "/echo")
