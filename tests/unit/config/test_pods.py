"""The keys about pods."""

import pytest

from interlink.config import Config, ConfigError
from interlink.config.pods import check_pods, kubernetes_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        ("10.1.2.3", ("10.1.2.3", 443)),
        ("api.example:6443", ("api.example", 6443)),
        ("[2001:db8::1]:6443", ("2001:db8::1", 6443)),
        ("[2001:db8::1]", ("2001:db8::1", 443)),
    ],
)
def test_where_compute_nodes_reach_the_api_server(text: str, address: tuple[str, int] | None) -> None:
    assert kubernetes_address(Config(kubernetes_address=text)) == address


@pytest.mark.parametrize(
    "text", ["https://host", "host:0", "host:65536", "host:x", "2001:db8::1", "[::g]", "a b", ":443", "[1.2.3.4]"]
)
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"key KubernetesAddress: .* write HOST or HOST:PORT"):
        check_pods(Config(kubernetes_address=text))


def test_daemon_sets_are_ignored_or_rejected() -> None:
    check_pods(Config(daemon_sets="reject"))
    with pytest.raises(ConfigError, match="key DaemonSets: must be ignore or reject, not 'run'"):
        check_pods(Config(daemon_sets="run"))
