"""What a pod says of names, as the runner gets it; nothing of it may become more than its own line of a file."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanNames
from interlink.core.pod.names import plan_names
from tests.unit.core.pods import make_pod

DNS = {
    "nameservers": ["192.0.2.1"],
    "searches": ["a.example."],
    "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}],
}


def test_a_pod_that_says_nothing_has_the_nodes_names() -> None:
    assert plan_names(make_pod(), "apptainer") is None
    assert plan_names(make_pod(dnsPolicy="ClusterFirst"), "apptainer") is None
    assert plan_names(make_pod(hostname="web-0"), "enroot") is None, "which an event of the pod says"


def test_what_a_pod_says_is_in_its_plan() -> None:
    alias = {"ip": "::1", "hostnames": ["one", "two"]}
    found = plan_names(make_pod(hostname="a", hostnameOverride="b", hostAliases=[alias], dnsConfig=DNS), "apptainer")
    assert found == PlanNames(
        hostname="b", hosts=[("::1", ["one", "two"])], resolver=True, nameservers=["192.0.2.1"],
        searches=["a.example."], options=[("ndots", "2"), ("rotate", "")],
    )  # fmt: skip
    alone = plan_names(make_pod(dnsPolicy="None", dnsConfig=DNS), "apptainer")
    assert alone
    assert (alone.resolver, alone.with_nodes) == (True, False)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"hostname": "a b"}, "hostname 'a b' is no name of a host"),
        ({"hostAliases": [{"ip": "nowhere", "hostnames": ["x"]}]}, "hostAliases.ip: 'nowhere' is no address"),
        ({"hostAliases": [{"ip": "::1", "hostnames": ["x\n6.6.6.6 y"]}]}, "hostAliases.hostnames: .* is no DNS name"),
        ({"dnsConfig": {"nameservers": ["ns"]}}, "dnsConfig.nameservers: 'ns' is no address"),
        ({"dnsConfig": {"searches": ["a b"]}}, "dnsConfig.searches: 'a b' is no DNS name"),
        ({"dnsConfig": {"options": [{"name": "a\nb"}]}}, "dnsConfig.options: .* is not one word"),
    ],
)
def test_what_is_no_name_is_refused_by_its_field(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        plan_names(make_pod(**spec), "apptainer")


@given(st.text(), st.text(), st.text(), st.text())
def test_hostile_names_are_refused_or_single_words(name: str, alias: str, search: str, option: str) -> None:
    spec: dict[str, Any] = {
        "hostname": name,
        "hostAliases": [{"ip": "::1", "hostnames": [alias]}],
        "dnsConfig": {"searches": [search], "options": [{"name": "o", "value": option}]},
    }
    try:
        found = plan_names(make_pod(**spec), "apptainer")
    except UnsupportedPod:
        return
    assert found
    for word in (found.hostname, *found.hosts[0][1], *found.searches, found.options[0][1]):
        assert word.split() == ([word] if word else [])
        assert word.isascii()
