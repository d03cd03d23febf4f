"""What volumes are made from: names that are no paths, trust bundles, tokens' age, one fetch for many, versions."""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError
from interlink.vk.apiserver.fake import FakeApiServer
from interlink.vk.gather import NotReadyError, References
from interlink.vk.objects import ObjectCache, ObjectKey, fetch, is_name, version_of
from interlink.vk.volumes.contents import Sources, Volumes
from interlink.vk.volumes.tokens import JITTER, Tokens
from interlink.vk.volumes.trace import Trace, digest_of
from interlink.vk.volumes.trust import label_selector, normalized
from interlink.vk.volumes.versions import Versions

Json = dict[str, Any]
Eventually = Callable[..., Any]
GROUP = "/apis/certificates.k8s.io/v1beta1"
BUNDLES = f"{GROUP}/clustertrustbundles"
MAPS = "/api/v1/namespaces/default/configmaps"
NO_API: Any = None
FIRST, SECOND = b"\x30\x03first", b"\x30\x04second"


@pytest.fixture
async def fake() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer().serve() as fake:
        yield fake


@pytest.fixture
async def api(fake: FakeApiServer) -> AsyncIterator[ApiServer]:
    async with ApiServer(fake.access) as api:
        yield api


def pem(*ders: bytes) -> str:
    blocks = [base64.encodebytes(der).decode() for der in ders]
    return "".join(f"-----BEGIN CERTIFICATE-----\n{block}-----END CERTIFICATE-----\n" for block in blocks)


def ders(text: bytes) -> list[bytes]:
    blocks = text.decode().split("-----BEGIN CERTIFICATE-----")[1:]
    return [base64.b64decode(block.partition("-----END")[0]) for block in blocks]


@given(st.one_of(st.text(max_size=40), st.from_regex(r"[a-z0-9.:/%?#]{0,12}")))
def test_a_name_stays_one_segment_of_its_path(name: str) -> None:
    if is_name(name):
        assert URL(f"http://api{MAPS}/{name}").raw_path == f"{MAPS}/{name}"
        assert name not in (".", "..")


@given(st.lists(st.lists(st.binary(min_size=1, max_size=90), max_size=4), max_size=4), st.text(max_size=8))
def test_each_certificate_comes_once_in_an_order_of_the_pods_own(bundles: list[list[bytes]], seed: str) -> None:
    text = normalized([f"a comment\n{pem(*bundle)}" for bundle in bundles], seed)
    found = ders(text)
    assert sorted(found) == sorted({der for bundle in bundles for der in bundle})
    assert normalized([pem(*reversed(found))], seed) == text
    assert all(len(line) <= 64 for line in text.decode().splitlines())


@given(st.lists(st.one_of(st.text(), st.text().map(lambda text: pem().join([text, "-----BEGIN CERTIFICATE-----\n"])))))
def test_a_bundle_that_is_no_pem_is_refused_or_empty(bundles: list[str]) -> None:
    try:
        text = normalized(bundles, "seed")
    except NotReadyError:
        return
    assert text == b"" or ders(text)


def test_a_block_that_is_no_base64_is_named() -> None:
    with pytest.raises(NotReadyError, match="no PEM"):
        normalized(["-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----"], "seed")


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({}, ""),
        ({"matchLabels": {"b": "2", "a.io/x": ""}}, "a.io/x=,b=2"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, "a in (1,2)"),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, "a notin (1)"),
        ({"matchLabels": {"z": "1"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}, "z=1,a"),
        ({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, "!b"),
    ],
)
def test_label_selectors_as_lists_take_them(selector: Json, text: str) -> None:
    assert label_selector(selector) == text


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=10), min_size=1, max_size=3))
def test_no_label_adds_to_its_selector(labels: dict[str, str]) -> None:
    try:
        text = label_selector({"matchLabels": labels})
    except NotReadyError:
        return
    assert dict(term.split("=") for term in text.split(",")) == labels


def pod(*sources: Json) -> Json:
    return {
        "metadata": {"name": "p", "namespace": "default", "uid": "u"},
        "spec": {"containers": [], "volumes": [{"name": "v", "projected": {"sources": list(sources)}}]},
    }


async def project(api: ApiServer, **bundle: Any) -> tuple[Json, Trace]:
    """Gather a volume with one trust bundle; return its text and trace."""
    shown = pod({"clusterTrustBundle": {"path": "ca.pem", **bundle}})
    (contents,) = await Volumes(Sources(api), shown, References(partial(fetch, api), "default"), {}).gather()
    return contents.sources["projectedvolumesmaps"]["data"], contents.trace


@pytest.fixture
def bundles(fake: FakeApiServer) -> None:
    fake.put(GROUP, {"resources": [{"name": "podcertificaterequests"}, {"name": "clustertrustbundles"}]})
    signed = {"signerName": "example.com/ca"}
    fake.put(f"{BUNDLES}/plain", {"spec": {"trustBundle": pem(FIRST)}})
    fake.put(
        f"{BUNDLES}/example.com:ca:a",
        {"metadata": {"labels": {"v": "1"}}, "spec": {**signed, "trustBundle": pem(FIRST)}},
    )
    fake.put(f"{BUNDLES}/example.com:ca:b", {"spec": {**signed, "trustBundle": pem(SECOND, FIRST)}})
    fake.put(f"{BUNDLES}/other.com:ca:c", {"spec": {"signerName": "other.com/ca", "trustBundle": pem(b"other")}})


@pytest.mark.parametrize(
    ("bundle", "expected"),
    [
        ({"name": "plain"}, [FIRST]),
        ({"name": "example.com:ca:b"}, [FIRST, SECOND]),
        ({"signerName": "example.com/ca", "labelSelector": {}}, [FIRST, SECOND]),
        ({"signerName": "example.com/ca", "labelSelector": {"matchLabels": {"v": "1"}}}, [FIRST]),
        ({"name": "none", "optional": True}, []),
        ({"signerName": "example.com/ca", "optional": True}, []),
        ({"signerName": "none.com/ca", "labelSelector": {}, "optional": True}, []),
    ],
)
async def test_trust_bundles_by_name_and_by_signer(api: ApiServer, bundles: None, bundle: Json, expected: Any) -> None:
    data, trace = await project(api, **bundle)
    assert sorted(ders(data["ca.pem"].encode())) == expected
    assert bool(trace.versions) == ("name" in bundle or "labelSelector" in bundle)


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        ({"name": "none"}, 'clustertrustbundle "none" not found'),
        ({"name": "../../../api/v1/secrets"}, "is no name of a ClusterTrustBundle"),
        ({"signerName": "none.com/ca", "labelSelector": {}}, "matched zero ClusterTrustBundles"),
        ({"signerName": "example.com/ca"}, "matched zero ClusterTrustBundles"),
        ({"signerName": "a,b", "labelSelector": {}}, "is no signer"),
        ({}, "requires either name or signerName"),
    ],
)
async def test_trust_bundles_that_are_missing_are_named(
    api: ApiServer, bundles: None, bundle: Json, words: str
) -> None:
    with pytest.raises(NotReadyError, match=words):
        await project(api, **bundle)


async def test_a_cluster_without_trust_bundles_is_named(api: ApiServer, fake: FakeApiServer) -> None:
    fake.put(GROUP, {"resources": [{"name": "podcertificaterequests"}]})
    with pytest.raises(
        NotReadyError, match=r'volume "v" : this cluster.s kube-apiserver serves no ClusterTrustBundles'
    ):
        await project(api, name="plain", optional=True)


async def test_a_new_trust_bundle_of_a_signer_is_a_change(api: ApiServer, fake: FakeApiServer, bundles: None) -> None:
    _, trace = await project(api, signerName="example.com/ca", labelSelector={})
    ((key, version),) = trace.versions.items()
    fake.put(f"{BUNDLES}/example.com:ca:new", {"spec": {"signerName": "example.com/ca", "trustBundle": pem(b"new")}})
    assert version_of(await fetch(api, key)) != version


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("seconds", "age"), [(600, 480), (3600, 2880), (100_000, 80_000), (1_000_000, 86_400)])
async def test_tokens_are_renewed_after_four_fifths_of_their_life_or_a_day(
    api: ApiServer, fake: FakeApiServer, seconds: int, age: int
) -> None:
    clock = Clock()
    fake.clock = clock
    tokens = Tokens(api, clock)
    source = {"path": "t", "expirationSeconds": seconds, "audience": "vault"}
    first = await tokens.get(pod(), source)
    clock.now += age - JITTER - 2
    assert await tokens.get(pod(), source) is first
    clock.now += JITTER + 2
    assert (await tokens.get(pod(), source)).text == "token-2-of-u"
    assert fake.count("POST", "/serviceaccounts/default/token") == 2


async def test_tokens_of_audiences_are_apart_and_go_with_their_pod(api: ApiServer) -> None:
    tokens = Tokens(api)
    texts = {(await tokens.get(pod(), {"path": "t", "audience": name})).text for name in ("a", "b", "", "a")}
    assert len(texts) == 3
    tokens.forget("u")
    assert (await tokens.get(pod(), {"path": "t"})).text not in texts


async def test_a_clock_that_is_far_ahead_does_not_ask_for_tokens_all_the_time(
    api: ApiServer, fake: FakeApiServer
) -> None:
    clock = Clock()
    clock.now += 10_000
    tokens = Tokens(api, clock)
    await tokens.get(pod(), {"path": "t"})
    clock.now += 59
    await tokens.get(pod(), {"path": "t"})
    assert fake.tokens == 1


@pytest.mark.parametrize("account", ["../x", "a/b", "", "A"])
async def test_a_service_account_is_a_name(api: ApiServer, fake: FakeApiServer, account: str) -> None:
    shown = pod()
    shown["spec"]["serviceAccountName"] = account or "-"
    with pytest.raises(NotReadyError, match="no name of a ServiceAccount"):
        await Tokens(api).get(shown, {"path": "t"})
    assert not fake.tokens


async def test_an_object_is_fetched_once_for_all_and_again_where_that_is_too_old(
    api: ApiServer, fake: FakeApiServer
) -> None:
    fake.put(f"{MAPS}/m", {"data": {"k": "1"}})
    cache, key = ObjectCache(api), ObjectKey(MAPS, "m")
    found = await asyncio.gather(*(cache.get(key, 0.0) for _ in range(50)))
    assert {each["data"]["k"] for each in found if each} == {"1"}
    assert fake.count("GET", "/m") == 1
    fake.put(f"{MAPS}/m", {"data": {"k": "2"}})
    assert ((await cache.get(key, time.monotonic())) or {})["data"] == {"k": "2"}
    await cache.get(key, 0.0)
    assert fake.count("GET", "/m") == 2


async def test_a_failed_fetch_is_not_kept_and_a_waiter_that_leaves_takes_no_other_along(
    api: ApiServer, fake: FakeApiServer
) -> None:
    fake.put(f"{MAPS}/m", {"data": {"k": "1"}})
    fake.fail(f"GET {MAPS}/m", 500)
    cache, key = ObjectCache(api), ObjectKey(MAPS, "m")
    with pytest.raises(ApiError):
        await cache.get(key, 0.0)
    leaving, staying = (asyncio.ensure_future(cache.get(key, 0.0)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert ((await staying) or {})["data"] == {"k": "1"}


@pytest.mark.parametrize(("known", "seen", "told"), [("1", "1", []), ("1", "2", ["a", "b"]), ("", "2", ["a", "b"])])
def test_news_of_an_object_reach_its_users(known: str, seen: str, told: list[str]) -> None:
    heard: list[str] = []
    versions = Versions(NO_API, lambda: True)
    versions.on_change = heard.append
    key, other = ObjectKey(MAPS, "m"), ObjectKey(MAPS, "n")
    versions.use("a", [key])
    versions.use("b", [key, other])
    versions.use("c", [other])
    versions.note(key, known)
    versions.note(key, seen)
    assert sorted(heard) == told
    versions.use("a", [])
    versions.use("b", [other])
    assert versions.seen(key) is None
    versions.note(key, "9")
    assert versions.seen(key) is None, "of what nobody uses nothing is kept"


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sets(st.sampled_from("xyz"))), max_size=30))
def test_users_are_counted_right_whatever_comes_and_goes(steps: list[tuple[str, set[str]]]) -> None:
    versions = Versions(NO_API, lambda: True)
    model: dict[str, set[str]] = {}
    for uid, names in steps:
        versions.use(uid, [ObjectKey(MAPS, name) for name in names])
        model[uid] = names
    users = {name: {uid for uid, names in model.items() if name in names} for name in "xyz"}
    assert {key.name: found for key, found in versions._users.items()} == {
        name: found for name, found in users.items() if found
    }


@given(st.dictionaries(st.text(max_size=5), st.binary(max_size=5)), st.dictionaries(st.text(max_size=5), st.binary()))
def test_digests_tell_files_apart(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)
    assert len(digest_of(one)) == hashlib.sha256().digest_size


def test_immutable_objects_are_kept_once_and_as_long_as_they_are_shown() -> None:
    found = {"metadata": {"name": "m", "resourceVersion": "7"}, "immutable": True, "data": {"k": "1"}}
    one, other, key = Trace(), Trace(), ObjectKey(MAPS, "m")
    one.note(key, found, keep=True)
    other.note(key, dict(found), keep=True)
    assert one.kept[key] is other.kept[key]
    assert one.kept[key].load() == found
    assert not one.versions
    again = Trace()
    again.note(key, {**found, "metadata": {"name": "m", "resourceVersion": "8"}, "data": {}}, keep=True)
    assert again.kept[key] is not one.kept[key]
