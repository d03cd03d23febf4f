"""Probes and hooks of a container as the plan has them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanHandler
from interlink.core.pod.probes import plan_hook, plan_probe
from interlink.wire.pod import Container


def container(**fields: Any) -> Container:
    """Return a container as it comes over the wire."""
    return msgspec.convert({"name": "main", **fields}, Container)


def test_what_a_probe_does_not_say_is_the_apis_default() -> None:
    probe = plan_probe(container(livenessProbe={"exec": {"command": ["true"]}}), "liveness")
    assert probe is not None
    assert (probe.initial_delay_seconds, probe.period_seconds, probe.timeout_seconds) == (0, 10, 1)
    assert (probe.success_threshold, probe.failure_threshold) == (1, 3)
    assert probe.termination_grace_period_seconds is None
    assert probe.handler == PlanHandler(kind="exec", command=["true"])


def test_a_zero_is_a_default_because_go_leaves_zeros_out() -> None:
    raw = {"tcpSocket": {"port": 80}, "periodSeconds": 0, "failureThreshold": 0}
    probe = plan_probe(container(startupProbe=raw), "startup")
    assert probe is not None
    assert (probe.period_seconds, probe.failure_threshold) == (10, 3)


def test_a_named_port_is_the_containers() -> None:
    ports = [{"name": "web", "containerPort": 8080}]
    raw = {"httpGet": {"port": "web", "path": "/a b", "httpHeaders": [{"name": "X-A", "value": "ä;b"}]}}
    probe = plan_probe(container(ports=ports, readinessProbe=raw), "readiness")
    assert probe is not None
    assert probe.handler == PlanHandler(kind="httpGet", port=8080, path="/a b", headers=[("X-A", "ä;b")])


def test_hooks_may_pause_and_probes_may_not() -> None:
    assert plan_hook(container(lifecycle={"preStop": {"sleep": {"seconds": 5}}}), "preStop") == PlanHandler(
        kind="sleep", seconds=5
    )
    with pytest.raises(UnsupportedPod, match="exactly one of exec, httpGet, tcpSocket, grpc"):
        plan_probe(container(livenessProbe={"sleep": {"seconds": 5}}), "liveness")


def test_a_container_without_any_has_none() -> None:
    assert plan_probe(container(), "liveness") is None
    assert plan_hook(container(lifecycle={"postStart": None}), "postStart") is None


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ({}, None),
        ({"periodSeconds": 3}, "exactly one of"),
        ({"exec": {"command": []}}, "needs a command"),
        ({"exec": {"command": ["a\0"]}}, "NUL"),
        ({"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}, "exactly one of"),
        ({"tcpSocket": {"port": "web"}}, 'no port named "web"'),
        ({"tcpSocket": {"port": 65536}}, "port 65536 is not between 1 and 65535"),
        ({"tcpSocket": {"port": 0}}, "port 0"),
        ({"tcpSocket": {"port": "9" * 5000}}, "port 9999"),
        ({"tcpSocket": {"port": True}}, "malformed"),
        ({"httpGet": {"port": 80, "scheme": "FTP"}}, "neither HTTP nor HTTPS"),
        ({"httpGet": {"port": 80, "path": "/\r\nX: y"}}, "control character"),
        ({"httpGet": {"port": 80, "httpHeaders": [{"name": "A b", "value": ""}]}}, "no name of an HTTP header"),
        ({"httpGet": {"port": 80, "httpHeaders": [{"name": "A", "value": "b\nc"}]}}, "control character"),
        ({"exec": {"command": ["a"]}, "successThreshold": 2}, "successThreshold must be 1"),
        ({"exec": {"command": ["a"]}, "periodSeconds": -1}, "periodSeconds -1"),
        ({"exec": {"command": ["a"]}, "terminationGracePeriodSeconds": 0}, "terminationGracePeriodSeconds 0"),
        ({"exec": {"command": ["a"]}, "timeoutSeconds": "soon"}, "malformed"),
    ],
)
def test_a_probe_that_cannot_be_carried_out_is_refused_by_name(probe: dict[str, Any], words: str | None) -> None:
    if words is None:
        assert plan_probe(container(livenessProbe=probe), "liveness") is None
        return
    with pytest.raises(UnsupportedPod, match=words) as caught:
        plan_probe(container(livenessProbe=probe), "liveness")
    assert 'container "main"' in str(caught.value)


words = st.sampled_from(["exec", "command", "port", "path", "host", "seconds", "httpHeaders", "a"])
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
anything = scalars | st.lists(scalars, max_size=3) | st.dictionaries(words, scalars, max_size=4)


@given(st.dictionaries(st.sampled_from(["exec", "httpGet", "tcpSocket", "grpc", "periodSeconds"]), anything))
def test_hostile_probes_are_planned_or_refused(raw: dict[str, Any]) -> None:
    try:
        probe = plan_probe(container(livenessProbe=raw), "liveness")
    except UnsupportedPod:
        return
    assert probe is None or probe.handler.kind == "exec" or 1 <= probe.handler.port <= 65535
