"""The registry's protocol where it is not as it should be, or not as most registries speak it."""

from collections.abc import Iterator

import pytest

from interlink.runner.images.credentials import Credential
from interlink.runner.images.reference import parse
from interlink.runner.images.registry import Registry as Client
from interlink.runner.images.registry import RegistryError
from tests.unit.runner.registry import Registry, serving, sha256


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving(Registry()) as registry:
        yield registry


def client(registry: Registry, name: str = "app:1", credential: Credential | None = None) -> Client:
    return Client(parse(f"{registry.address}/{name}"), credential, insecure=True)


def test_a_registry_that_tells_no_digest_is_asked_for_the_manifest(registry: Registry) -> None:
    digest = registry.add("app", "1", Cmd=["x"])
    registry.says_digest = False
    assert client(registry).digest() == digest


def test_what_is_pinned_by_digest_is_asked_for_all_the_same(registry: Registry) -> None:
    digest = registry.add("app", Cmd=["x"])
    assert client(registry, f"app@{digest}").digest() == digest
    with pytest.raises(RegistryError, match="manifest unknown"):
        client(registry, f"other@{digest}").digest()


def test_the_image_says_how_it_runs_and_how_large_it_is(registry: Registry) -> None:
    found = client(registry).manifest(registry.add("app", "1", Cmd=["x"], Env=["A=ü $b"]))
    assert (found.size, found.layers, found.config) == (5_000_000, 1, {"Cmd": ["x"], "Env": ["A=ü $b"]})


def test_a_manifest_or_config_that_is_not_its_digest_is_refused(registry: Registry) -> None:
    digest = registry.add("app", "1", Cmd=["x"])
    (blob,) = registry.blobs
    registry.blobs[blob] = b'{"config": {"Entrypoint": ["evil"]}}'
    with pytest.raises(RegistryError, match=f"is not {blob}"):
        client(registry).manifest(digest)
    registry.manifests["app", digest] = b"{}"
    with pytest.raises(RegistryError, match=f"is not {digest}"):
        client(registry).manifest(digest)


def test_an_index_without_this_platform_says_which_it_has(registry: Registry) -> None:
    content = b'{"manifests": [{"digest": "x", "platform": {"os": "linux", "architecture": "z80"}}]}'
    registry.manifests["app", sha256(content)] = content
    with pytest.raises(RegistryError, match=r"no image for linux/.* among linux/z80"):
        client(registry).manifest(sha256(content))


@pytest.mark.parametrize("content", [b"[]", b"no JSON", b'{"config": 1}', b"\xff"])
def test_what_is_no_manifest_is_said_so(registry: Registry, content: bytes) -> None:
    registry.manifests["app", sha256(content)] = content
    with pytest.raises(RegistryError, match="is no "):
        client(registry).manifest(sha256(content))


def test_a_public_image_of_a_registry_with_tokens_needs_no_credential(registry: Registry) -> None:
    registry.scheme, registry.public = "Bearer", {"app"}
    registry.add("app", "1", Cmd=["x"])
    anybody = client(registry)
    assert anybody.digest()
    assert not anybody.used
    assert registry.count("/token?service=reg&scope=repository%3Aapp%3Apull") == 1


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_wrong_password_is_refused_in_the_registrys_words_without_it(registry: Registry, scheme: str) -> None:
    registry.scheme = scheme
    registry.add("app", "1", Cmd=["x"])
    with pytest.raises(RegistryError) as raised:
        client(registry, credential=Credential("alice", "wr0ng")).digest()
    assert raised.value.denied
    assert "401" in str(raised.value)
    assert "wr0ng" not in str(raised.value)
    assert "incorrect" in str(raised.value) or scheme == "Basic"


def test_a_password_goes_to_no_token_service_that_is_not_safe(registry: Registry) -> None:
    registry.scheme = "Bearer"
    strict = client(registry, credential=Credential("alice", "s3cret"))
    strict.root = strict.root.replace("http://", "https://")
    with pytest.raises(RegistryError, match="no token service that is safe"):
        strict._authorize([f'Bearer realm="http://{registry.address}/token",service="reg"'])
    assert registry.asked == []


def test_a_registry_that_is_not_there_is_not_taken_for_a_refusal() -> None:
    with pytest.raises(RegistryError) as raised:
        Client(parse("127.0.0.1:9/app"), None, insecure=True).digest()
    assert not raised.value.denied
