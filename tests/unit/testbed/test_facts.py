"""The facts that the test bed reads from the machine."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from tests.testbed import cluster, layout, lifecycle, pki
from tests.testbed.bed import Bed
from tests.testbed.errors import TestbedError
from tests.testbed.fingerprint import fingerprint
from tests.testbed.host import Container
from tests.testbed.layout import Host
from tests.testbed.machine import debian_mirror
from tests.testbed.network import free_subnet
from tests.testbed.paths import Paths

DEB822 = """\
Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main

# a comment
Types: deb
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
"""


def etc(folder: Path, **files: str) -> Path:
    (folder / "apt/sources.list.d").mkdir(parents=True)
    (folder / "os-release").write_text('NAME="Debian"\nVERSION_CODENAME=bookworm\n')
    for name, text in files.items():
        (folder / "apt" / name.replace("__", "/").replace("_", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "deb http://mirror.example/debian bookworm main",
        "# deb http://old.example bookworm main\ndeb [arch=amd64 a=b] http://mirror.example/debian/ bookworm main",
    ],
)
def test_the_mirror_is_the_one_of_the_one_line_sources(tmp_path: Path, line: str) -> None:
    assert debian_mirror(etc(tmp_path, sources_list=line)) == "http://mirror.example/debian"


def test_the_mirror_is_the_one_of_the_deb822_sources(tmp_path: Path) -> None:
    folder = etc(tmp_path)
    (folder / "apt/sources.list.d/debian.sources").write_text(DEB822)
    assert debian_mirror(folder) == "http://mirror.example/debian"


def test_a_machine_without_a_mirror_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="bookworm"):
        debian_mirror(etc(tmp_path))


def test_a_subnet_in_use_is_passed_over() -> None:
    assert free_subnet(["10.0.0.0/8"], ["10.1.1.0/24", "172.30.1.0/24"]) == ipaddress.IPv4Network("172.30.1.0/24")
    assert free_subnet([], [layout.POD_CIDR, "172.30.1.0/24"]) == ipaddress.IPv4Network("172.30.1.0/24")
    with pytest.raises(TestbedError, match="in use"):
        free_subnet(["0.0.0.0/1"], ["10.1.1.0/24"])


def test_the_home_follows_the_environment() -> None:
    assert Paths.from_environment({"INTERLINK_TESTBED_HOME": "/a", "HOME": "/h"}).home == Path("/a")
    assert Paths.from_environment({"XDG_CACHE_HOME": "/x", "HOME": "/h"}).home == Path("/x/interlink-testbed")
    assert Paths.from_environment({"HOME": "/h"}).home == Path("/h/.cache/interlink-testbed")


def test_a_fingerprint_knows_names_contents_and_borders(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    one = fingerprint(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert fingerprint(tmp_path) != one
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("ab") == fingerprint(b"ab")


def test_the_api_servers_certificate_names_every_way_to_it() -> None:
    found = {certificate.name: certificate for certificate in pki.certificates("192.0.2.20", "192.0.2.1")}
    assert {"IP:192.0.2.20", "IP:10.96.0.1", "DNS:kubernetes.default.svc"} <= set(found["apiserver"].names)
    assert found["kubelet"].subject == "/O=system:nodes/CN=system:node:testbed-node"
    assert found["front-proxy-client"].authority == "front-proxy-ca"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("interlink/vk:1", "docker.io/interlink/vk:1"),
        ("192.0.2.1:5000/busybox", "192.0.2.1:5000/busybox:latest"),
        ("localhost/x:2", "localhost/x:2"),
    ],
)
def test_an_image_has_its_full_name_in_containerd(name: str, full: str) -> None:
    assert cluster.full_name(name) == full


def test_a_hosts_container_is_a_docker_command(bed: Bed) -> None:
    container = Container(Host("c1", 11, ("slurmd",)), "site:1", ("--env=A=b",), "", volumes=("/var/lib/x",))
    command = container.command("192.0.2.11", {"edge": "192.0.2.10"})
    assert command[:3] == ["--detach", "--name", "interlink-c1"]
    assert "--volume=interlink-c1-var-lib-x:/var/lib/x" in command
    assert "--add-host=edge:192.0.2.10" in command
    assert command[-2:] == ["--env=A=b", "site:1"]


def test_status_has_a_line_for_each_part_of_a_bed_that_is_not_there(bed: Bed) -> None:
    states = {state.part: state for state in lifecycle.status(bed)}
    assert not states["docker"].up
    assert "no Docker daemon answers" in states["docker"].words
