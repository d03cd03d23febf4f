"""The two ways to a host keep to one contract; an agent that breaks is found out, told, and started again."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlink.sidecars.slurm.transport import ssh
from interlink.sidecars.slurm.transport.host import Host, HostTimedOut, HostUnavailable, LocalHost
from interlink.sidecars.slurm.transport.remote import RemoteHost, agent_words
from interlink.sidecars.slurm.transport.ssh import SshConnection, SshTarget
from tests.unit.sidecars.slurm.transport.host_contract import KEPT, HostContract, wait_until_over

AGENT = agent_words(sys.executable)


class TestLocal(HostContract):
    @pytest.fixture
    def host(self) -> Iterator[Host]:
        host = LocalHost()
        yield host
        host.close()


class TestBehindACommand(HostContract):
    @pytest.fixture
    def host(self) -> Iterator[Host]:
        host = RemoteHost("here", lambda: ("sh", "-c", 'echo "Welcome to the login node"; exec "$@"', "sh", *AGENT))
        yield host
        host.close()


def test_many_ask_at_once_and_a_slow_one_holds_nobody_up() -> None:
    host = RemoteHost("here", lambda: AGENT)
    slow = threading.Thread(target=lambda: host.run(["sleep", "2"], environment=KEPT, timeout=10))
    slow.start()
    began = time.monotonic()
    assert host.run(["echo", "x"], environment=KEPT, timeout=10).output == "x\n"
    assert time.monotonic() - began < 1.5
    slow.join()
    host.close()


def test_an_agent_that_dies_fails_what_was_under_way_and_is_started_again() -> None:
    broken = []
    host = RemoteHost("here", lambda: AGENT, lambda: broken.append(1))
    pid = int(host.run(["sh", "-c", "echo $PPID"], environment=KEPT, timeout=5).output)
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(HostTimedOut, match="ended"):
        host.run(["sleep", "20"], environment=KEPT, timeout=30)
    assert host.exists(Path("/"))
    assert broken == [1]
    host.close()


def test_an_agent_that_hangs_costs_one_deadline() -> None:
    host = RemoteHost("here", lambda: AGENT, way_seconds=1)
    pid = int(host.run(["sh", "-c", "echo $PPID"], environment=KEPT, timeout=5).output)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(HostTimedOut, match=r"no answer within 1\.5 s"):
        host.call("exists", {"path": "/"}, timeout=0.5)
    assert host.exists(Path("/"))
    host.close()


def test_no_way_there_is_said_in_the_ways_words_and_not_tried_at_once_again() -> None:
    starts = []

    def command() -> list[str]:
        starts.append(1)
        return ["sh", "-c", "echo 'Host key verification failed.' >&2; exit 255"]

    host = RemoteHost("login.site", command)
    for _ in range(5):
        with pytest.raises(HostUnavailable, match=r"login.site: .*status 255 \(Host key verification failed"):
            host.exists(Path("/"))
    assert len(starts) == 1


def test_what_runs_on_the_far_side_ends_with_our_side(tmp_path: Path) -> None:
    host = RemoteHost("here", lambda: AGENT)
    script = f"echo $$ > {tmp_path}/pid; exec sleep 100"
    caller = threading.Thread(target=_ignore, args=(host, script))
    caller.start()
    _wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
    host.close()
    caller.join()
    wait_until_over(int((tmp_path / "pid").read_text()))


def test_ssh_asks_nothing_believes_no_unknown_host_and_quotes_once(tmp_path: Path) -> None:
    target = SshTarget(
        host="login", user="svc", port=2222, key_file=Path("/key"), known_hosts=Path("/known"),
        options=("-o", "ProxyJump=gate"),
    )  # fmt: skip
    connection = SshConnection(target)
    words = connection.command(["python3", "-c", "a 'b'; $c"])
    text = " ".join(words)
    for expected in (
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "UserKnownHostsFile=/known",
        "IdentityFile=/key",
        "ControlMaster=auto",
        "ServerAliveInterval=5",
        "-p 2222",
        "-l svc",
        "-o ProxyJump=gate",
    ):
        assert expected in text
    assert words[-3:] == ["--", "login", """python3 -c 'a '"'"'b'"'"'; $c'"""]
    before = next(word for word in words if word.startswith("ControlPath="))
    connection.replace()
    assert before not in connection.command(["true"])
    socket = Path(before.removeprefix("ControlPath="))
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    connection.close()
    assert not socket.parent.exists()


def test_a_master_that_hangs_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ssh"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(ssh, "_SECONDS", 0.3)
    connection = SshConnection(SshTarget(host="login"))
    (before,) = (word.partition("=")[2] for word in connection.command([]) if word.startswith("ControlPath="))
    Path(before).touch()
    connection.replace()
    assert before not in " ".join(connection.command([]))
    assert not Path(before).exists()
    connection.close()


def _ignore(host: Host, script: str) -> None:
    with pytest.raises(HostUnavailable):
        host.run(["sh", "-c", script], environment=KEPT, timeout=50)


def _wait_for(good: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.02)
