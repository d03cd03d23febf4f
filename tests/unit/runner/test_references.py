"""Names of images, and which credentials fit them."""

import pytest

from interlink.runner.images.credentials import Credential, fitting
from interlink.runner.images.reference import InvalidName, Reference, parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("busybox", Reference("docker.io", "library/busybox", "latest", "")),
        ("user/app:2", Reference("docker.io", "user/app", "2", "")),
        ("docker://index.docker.io/user/app", Reference("docker.io", "user/app", "latest", "")),
        ("localhost/app", Reference("localhost", "app", "latest", "")),
        ("docker://reg.example:5000/a/b-c/d.e__f:V1.2_x", Reference("reg.example:5000", "a/b-c/d.e__f", "V1.2_x", "")),
        (f"reg.example/app@{DIGEST}", Reference("reg.example", "app", "", DIGEST)),
        (f"reg.example/app:1@{DIGEST}", Reference("reg.example", "app", "1", DIGEST)),
    ],
)
def test_a_name_is_read_as_container_runtimes_read_it(name: str, reference: Reference) -> None:
    assert parse(name) == reference


@pytest.mark.parametrize(
    "name",
    ["Upper", "reg.example/Upper", "a//b", "a:", "a:b:c", "a@sha256:1", "a@", "/a", "a b", "reg.example/", "a/", "-a",
     "a:" + "t" * 129, "reg.example/" + "a" * 256, "a?b", "reg_x.example:5/a", "a@b@" + DIGEST, "a\n"],
)  # fmt: skip
def test_what_is_no_name_is_told_with_the_name(name: str) -> None:
    with pytest.raises(InvalidName) as raised:
        parse(name)
    assert name in str(raised.value)


def _found(image: str, *keys: str) -> list[str]:
    entries = [{"registry": key, "username": key, "password": "p"} for key in keys]
    return [credential.username for credential in fitting(entries, parse(image))]


@pytest.mark.parametrize(
    "key",
    ["reg.example", "https://reg.example", "reg.example/", "https://reg.example/v2/", "*.example", "reg.example/team",
     "reg.example/v1/team", "r*g.example"],
)  # fmt: skip
def test_a_key_fits_the_hosts_and_paths_that_it_names(key: str) -> None:
    assert _found("reg.example/team/app", key) == [key]


@pytest.mark.parametrize(
    "key", ["reg.example:5000", "example", "*", "other.example", "reg.example/other", "a.reg.example", "docker.io"]
)
def test_a_key_fits_nothing_else(key: str) -> None:
    assert _found("reg.example/team/app", key) == []


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hub_is_known_by_its_names(key: str) -> None:
    assert _found("busybox", key) == [key]


def test_all_that_fit_are_tried_the_longest_path_first_and_else_as_the_pod_has_them() -> None:
    keys = ("*.example", "reg.example", "reg.example/team", "reg.example/team/app")
    assert _found("reg.example/team/app", *keys) == [keys[3], keys[2], keys[1], keys[0]]
    twice = [{"registry": "reg.example", "username": name} for name in ("one", "two")]
    assert [found.username for found in fitting(twice, parse("reg.example/app"))] == ["one", "two"]


def test_a_credential_is_known_again_for_its_repository_alone() -> None:
    one = Credential("alice", "s3cret").hash("reg/app")
    assert one == Credential("alice", "s3cret").hash("reg/app")
    others = {Credential("alice", "s3cret").hash("reg/other"), Credential("alice", "x").hash("reg/app")}
    assert one not in others | {Credential("alices3cret", "").hash("reg/app")}
