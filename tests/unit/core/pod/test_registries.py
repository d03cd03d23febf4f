"""imagePullSecrets as kubectl and older tools make them."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanCredential
from interlink.core.pod.build import PlanSettings, build_plan
from interlink.core.pod.registries import registry_credentials
from tests.unit.core.pods import make_pod, make_request

AUTH = base64.b64encode(b"alice:s3:cret").decode()


def secret(key: str, content: Any, name: str = "pull") -> dict[str, Any]:
    """Return a v1.Secret as the API gives it."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {"metadata": {"name": name}, "data": {key: base64.b64encode(text).decode()}}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "alice", "password": "s3:cret", "email": "a@b"}, ("alice", "s3:cret", "")),
        ({"auth": AUTH}, ("alice", "s3:cret", "")),
        ({"auth": AUTH, "username": "other", "password": "x"}, ("alice", "s3:cret", "")),
        ({"identitytoken": "t"}, ("", "", "t")),
        ({}, ("", "", "")),
    ],
)
def test_both_kinds_of_secret_are_read(entry: dict[str, str], expected: tuple[str, str, str]) -> None:
    username, password, token = expected
    found = [PlanCredential(registry="reg.example", username=username, password=password, token=token)]
    assert registry_credentials([secret(".dockerconfigjson", {"auths": {"reg.example": entry}})]) == found
    assert registry_credentials([secret(".dockercfg", {"reg.example": entry})]) == found


def test_several_secrets_are_kept_in_their_order_with_registries_named_twice() -> None:
    first = secret(".dockerconfigjson", {"auths": {"a": {"auth": AUTH}, "b/path": {"identitytoken": "t"}}})
    second = secret(".dockercfg", {"a": {"username": "bob", "password": "x"}})
    keys = [
        (item.registry, item.username) for item in registry_credentials([first, second, {"data": {"other": "eA=="}}])
    ]
    assert keys == [("a", "alice"), ("b/path", ""), ("a", "bob")]
    assert registry_credentials(None) == []


@pytest.mark.parametrize(
    "content", [b"no JSON", b"[]", {"auths": []}, {"auths": {"a": {"auth": "s3cret!"}}}, {"auths": {"a": "s3cret"}}]
)
def test_a_secret_that_cannot_be_read_is_named_and_not_shown(content: Any) -> None:
    with pytest.raises(UnsupportedPod) as raised:
        registry_credentials([secret(".dockerconfigjson", content)])
    assert '"pull"' in str(raised.value)
    assert "s3cret" not in str(raised.value)


JSON = st.recursive(
    st.none() | st.text() | st.integers(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)
)


@given(JSON)
def test_whatever_a_secret_holds_is_read_or_refused(content: Any) -> None:
    with contextlib.suppress(UnsupportedPod):
        found = registry_credentials([secret(".dockerconfigjson", {"auths": content})])
        assert [item.registry for item in found] == list(content)


def test_the_plan_has_the_credentials() -> None:
    request = make_request(make_pod())
    request.imagePullSecrets = [secret(".dockercfg", {"a": {"auth": AUTH}})]
    plan = build_plan(request, folder="/d/jobs/u", spool="/d/spool", settings=PlanSettings())
    assert [item.username for item in plan.runtime.credentials] == ["alice"]
