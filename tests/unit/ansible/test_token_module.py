"""When the kubeconfig's token is taken anew."""

import base64
import importlib.util
import json
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ansible.rendering import ROLES, render

DAY = 86400


def load(path: str) -> ModuleType:
    """Import a file of a role."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROLES / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULE = load("kubeconfig/library/interlink_token.py")


def jwt(claims: Any) -> str:
    """Return an unsigned token with these claims."""
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


def token(uid: str = "u1") -> str:
    """Return a token of thirty days, from day 0."""
    return jwt({"iat": 0, "exp": 30 * DAY, "kubernetes.io": {"serviceaccount": {"uid": uid}}})


@pytest.mark.parametrize(
    ("present", "day", "reason"),
    [
        ("", 0, "there is no token"),
        ("opaque", 0, "the token is not one of a TokenRequest"),
        (jwt([1]), 0, "the token is not one of a TokenRequest"),
        (token("other"), 0, "the token is of another ServiceAccount"),
        (token(), 0, ""),
        (token(), 20, ""),
        (token(), 21, "the token is about to end"),
        (token(), 31, "the token is about to end"),
    ],
)
def test_a_token_is_taken_anew_when_a_third_of_its_life_is_left(present: str, day: int, reason: str) -> None:
    assert MODULE.needs_token(present, "u1", day * DAY, 1 / 3) == reason


@given(st.text())
def test_whatever_stands_in_the_file_only_means_a_new_token(text: str) -> None:
    assert MODULE.needs_token(MODULE.token_of(text), "u1", 0.0, 1 / 3) != ""


def test_the_kubeconfig_that_is_written_is_read_back() -> None:
    result = {"server": "https://x", "ca_data": "", "token": token(), "expires": MODULE.expires_of(token())}
    assert MODULE.token_of(render("edge/kubeconfig.yaml.j2", kubeconfig_token=result)) == token()
    assert result["expires"] == "1970-01-31T00:00:00Z"


def test_the_modules_documentation_parses_and_names_every_parameter() -> None:
    documented = yaml.safe_load(MODULE.DOCUMENTATION)["options"]
    assert set(documented) == {
        "kubeconfig", "context", "namespace", "service_account", "lifetime", "refresh_below", "present",
    }  # fmt: skip
    assert yaml.safe_load(MODULE.EXAMPLES)
    assert set(yaml.safe_load(MODULE.RETURN)) == {"token", "expires", "reason", "server", "ca_data"}
