"""The way out of a node without a route: ssh as a SOCKS proxy, here a program that speaks as much of it."""

import os
import signal
from pathlib import Path

import pytest

from interlink.core.plan import PlanEgress
from interlink.runner.processes import started
from tests.e2e.waiting import wait_for
from tests.unit.runner.running import Site, shell

#: ssh -D: refuses its first port when it is told to, then answers SOCKS greetings, and notes its words and its number.
SSH = """\
#!/usr/bin/env python3
import os, pathlib, socket, sys
here = pathlib.Path(__file__).parent
with open(here / "starts", "a") as starts:
    starts.write(f"{os.getpid()} {' '.join(sys.argv[1:])}\\n")
if (here / "refuse").exists():
    (here / "refuse").unlink()
    print("bind: Address already in use", file=sys.stderr)
    sys.exit(255)
host, port = sys.argv[sys.argv.index("-D") + 1].split(":")
with socket.create_server((host, int(port))) as server:
    while True:
        connection, _ = server.accept()
        connection.recv(3)
        connection.sendall(b"\\x05\\x00")
        connection.close()
"""


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(SSH)
    program.chmod(0o755)
    return program


def starts(ssh: Path) -> list[list[str]]:
    file = ssh.parent / "starts"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def lives(pid: str) -> bool:
    return started(int(pid)) is not None


def egress(ssh: Path, **fields: object) -> PlanEgress:
    return PlanEgress(login_node="login", ssh=str(ssh), **fields)  # type: ignore[arg-type]


def test_containers_start_with_the_proxys_variables_once_it_answers(site: Site, ssh: Path) -> None:
    (ssh.parent / "refuse").touch()
    way = egress(ssh, local_networks=["10.0.0.0/8", "fd00::/8"], ssh_options=["-i", "/keys/id"])
    plan = site.plan(shell('echo "$ALL_PROXY $all_proxy $NO_PROXY"'), egress=way)
    assert site.run(plan) == 0
    first, second = starts(ssh)
    port = second[second.index("-D") + 1]
    assert first[first.index("-D") + 1] != port
    assert "ExitOnForwardFailure=yes" in second
    assert second[second.index("-i") : second.index("-i") + 2] == ["-i", "/keys/id"]
    assert second[-2:] == ["--", "login"]
    proxy = f"socks5h://{port}"
    assert f"{proxy} {proxy} localhost,127.0.0.1,::1,10.0.0.0/8,fd00::/8" in site.log()
    assert not lives(second[0])


def test_the_library_is_preloaded_with_a_configuration_of_the_local_networks(site: Site, ssh: Path) -> None:
    script = 'echo "$LD_PRELOAD"; cat "$TSOCKS_CONF_FILE"'
    way = egress(ssh, library="/lib/none.so", local_networks=["10.0.0.0/8", "fd00::/8"])
    site.run(site.plan(shell(script), egress=way))
    log = site.log()
    port = starts(ssh)[0][starts(ssh)[0].index("-D") + 1].split(":")[1]
    assert "/lib/none.so" in log
    for line in (
        "local = 127.0.0.0/255.0.0.0",
        "local = 10.0.0.0/255.0.0.0",
        "server_type = 5",
        f"server_port = {port}",
    ):
        assert line in log
    assert "fd00" not in log


def test_what_a_container_sets_itself_counts(site: Site, ssh: Path) -> None:
    own = [("ALL_PROXY", "http://mine"), ("LD_PRELOAD", "")]
    site.run(site.plan(shell('echo "[$ALL_PROXY] [$LD_PRELOAD]"', env=own), egress=egress(ssh, library="/lib/none.so")))
    assert "[http://mine] []" in site.log()


def test_while_there_is_no_way_out_containers_wait_with_sshs_words(site: Site, tmp_path: Path) -> None:
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho 'Permission denied (publickey).' >&2; exit 255\n")
    failing.chmod(0o755)
    process = site.start(site.plan(shell("true"), egress=egress(failing)))

    def waits() -> str:
        states = [item["state"] for item in site.last().containers] if site.reports() else []
        return str(states[0].get("waiting", {}).get("message", "")) if states else ""

    words = wait_for("ssh's words", waits, lambda seen: "denied" in seen, within=20)
    assert words == "waiting for the way out through login: Permission denied (publickey)."
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 1


def test_a_proxy_that_dies_comes_back_at_the_same_port_and_ends_with_a_killed_runner(site: Site, ssh: Path) -> None:
    process = site.start(site.plan(shell("sleep 60"), egress=egress(ssh)))
    wait_for("the container", lambda: site.reports() and "running" in site.last().containers[0]["state"], within=20)
    (first,) = starts(ssh)
    os.kill(int(first[0]), signal.SIGKILL)
    wait_for("another ssh", lambda: len(starts(ssh)) == 2, within=20)
    second = starts(ssh)[1]
    assert second[1:] == first[1:]
    process.kill()
    process.communicate(timeout=20)
    wait_for("its end", lambda: not lives(second[0]), within=20)
