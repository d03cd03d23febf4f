"""The kubelet port's routes beside logs: pods, health, configuration, metrics, stats, and sessions (refused)."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.config import Config
from interlink.config.nodes import node_settings
from interlink.vk.kubelet.configz import configz
from interlink.vk.metrics import Counter, Histogram, family, gauge
from tests.unit.vk.port import LOGS, Client

Json = dict[str, Any]
Eventually = Callable[..., Any]
SAMPLE = re.compile(r'([a-z_:]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (-?[0-9.e+-]+|NaN)')


def samples(text: str) -> dict[str, float]:
    """Return the samples of a Prometheus text; what is no such text fails."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    declared: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in declared, "a family is one block"
            declared.add(name)
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            base = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert {match[1], base} & declared, line
            key = match[1] + (f"{{{match[2]}}}" if match[2] else "")
            assert key not in found, line
            found[key] = float(match[3])
    return found


async def running(client: Client, eventually: Eventually) -> None:
    """Let the pod's container run."""
    state = {"running": {"startedAt": "2026-01-01T00:00:05Z"}}
    client.world.edge.say(client.uid, state)
    await eventually(lambda: client.world.phase("p") == "Running")


async def test_metrics_are_prometheus_text(client: Client, eventually: Eventually) -> None:
    await running(client, eventually)
    await client.ask("/no/such/route")
    await client.ask("/pods", "nobody")
    found = samples((await client.ask("/metrics"))[1])
    assert found['interlink_vk_pods{phase="Running"}'] == 1
    assert found['interlink_vk_status_patches_total{result="written"}'] >= 1
    assert found['interlink_vk_reconcile_duration_seconds_count{result="ok"}'] >= 1
    assert found['interlink_vk_requests_total{to="edge",method="POST",code="200"}'] >= 1
    assert found['interlink_vk_requests_total{to="apiserver",method="PUT",code="200"}'] >= 1
    assert found['interlink_vk_request_duration_seconds_count{to="edge"}'] >= 1
    assert found['interlink_vk_watch_restarts_total{what="list"}'] == 1
    assert found["interlink_vk_edge_reachable"] == 1
    assert 0 <= found["interlink_vk_lease_age_seconds"] < 60
    assert found['interlink_vk_port_requests_total{route="other",code="404"}'] == 1
    assert found['interlink_vk_port_requests_total{route="pods",code="403"}'] == 1
    assert found['interlink_vk_certificate_expiry_timestamp_seconds{source="self-signed"}'] > 1.7e9
    assert found["process_resident_memory_bytes"] > 1e7
    assert found["process_start_time_seconds"] > 1.7e9
    assert found["interlink_vk_queue_depth"] >= 0


async def test_what_failed_is_counted_by_its_code(client: Client, eventually: Eventually) -> None:
    client.world.edge.failures = {"": (503, {})}
    client.world.api.fail("GET /api/v1/nodes", 500, 3)

    async def found() -> dict[str, float]:
        return samples((await client.ask("/metrics"))[1])

    for _ in range(200):
        metrics = await found()
        if (
            'interlink_vk_requests_total{to="apiserver",method="GET",code="500"}' in metrics
            and metrics["interlink_vk_edge_reachable"] == 0
        ):
            break
        client.kubelet.shared.link.doubt()
    else:
        raise AssertionError(metrics)
    assert any(key.startswith('interlink_vk_requests_total{to="edge"') and '"503"' in key for key in metrics)


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_any_label_and_number_are_written_so_that_they_can_be_read(label: str, number: float) -> None:
    text = family("m", "gauge", "Words.", [({"l": label}, number)])
    lines = text.split("\n")
    match = SAMPLE.fullmatch(lines[2])
    assert len(lines) == 4
    assert match
    assert float(match[3]) == number
    said = re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), match[2][3:-1])
    assert said == label


def test_a_histogram_s_buckets_add_up() -> None:
    histogram = Histogram("h", "Words.", ("a",), bounds=(0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 5.0):
        histogram.observe(seconds, "x")
    found = samples(histogram.text())
    assert [found[f'h_bucket{{a="x",le="{bound}"}}'] for bound in ("0.1", "1", "+Inf")] == [2, 3, 4]
    assert found['h_count{a="x"}'] == 4
    assert found['h_sum{a="x"}'] == pytest.approx(5.65)


def test_what_is_not_known_is_not_there() -> None:
    assert gauge("g", "Words.", None) == ""
    assert family("g", "gauge", "Words.", []) == ""
    assert samples(Counter("c", "Words.", ()).text() or "\n".replace("\n", "# HELP c x\n")) == {}


async def test_resource_metrics_invent_nothing(client: Client, eventually: Eventually) -> None:
    await running(client, eventually)
    assert samples((await client.ask("/metrics/resource"))[1]) == {"resource_scrape_error": 0}
    for path in ("/metrics/cadvisor", "/metrics/probes"):
        assert await client.ask(path) == (200, "")


async def test_the_summary_has_the_pods_that_run(client: Client, eventually: Eventually) -> None:
    client.world.add_pod("waits")
    await running(client, eventually)
    summary = json.loads((await client.ask("/stats/summary"))[1])
    assert summary["node"]["nodeName"] == "vk-test"
    assert set(summary["node"]) == {"nodeName", "startTime"}
    (pod,) = summary["pods"]
    assert pod["podRef"] == {"name": "p", "namespace": "default", "uid": client.uid}
    assert pod["containers"] == [{"name": "c", "startTime": "2026-01-01T00:00:05Z"}]


async def test_running_pods_are_those_that_the_edge_runs(client: Client, eventually: Eventually) -> None:
    assert json.loads((await client.ask("/runningpods/"))[1])["items"] == []
    await running(client, eventually)
    listed = json.loads((await client.ask("/runningpods"))[1])
    assert (listed["kind"], listed["apiVersion"]) == ("PodList", "v1")
    (pod,) = listed["items"]
    assert pod["metadata"] == {"name": "p", "namespace": "default", "uid": client.uid}
    assert [container["name"] for container in pod["spec"]["containers"]] == ["c"]


async def test_pods_are_those_of_the_node(client: Client) -> None:
    listed = json.loads((await client.ask("/pods"))[1])
    assert [pod["metadata"]["uid"] for pod in listed["items"]] == [client.uid]
    assert listed["items"][0]["spec"]["nodeName"] == "vk-test"


async def test_configz_says_what_is_in_force(client: Client) -> None:
    found = json.loads((await client.ask("/configz"))[1])
    kubelet = found["kubeletconfig"]
    assert kubelet["port"] == client.kubelet.server.port
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert found["interlink"]["NodeName"] == "vk-test"
    assert found["interlink"]["KubeletCertRequest"] is True


def test_configz_says_nothing_of_users_in_urls() -> None:
    config = Config(interlink_url="https://user:secret@edge.example:3000/x", node_name="n")
    found = json.dumps(configz(config, node_settings(config)[0], "100"))
    assert "secret" not in found
    assert "https://edge.example:3000/x" in found
    assert '"maxPods": 100' in found


@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/healthz/ping", "/healthz/log", "/healthz/syncloop"])
async def test_health_needs_no_credentials(client: Client, path: str) -> None:
    assert await client.ask(path, "") == (200, "ok")


async def test_a_loop_that_hangs_is_seen_where_a_kubelet_s_would_be(client: Client) -> None:
    client.kubelet.shared.pulse.watch("stuck", -1.0)
    assert [(await client.ask(f"/healthz{part}", ""))[0] for part in ("", "/syncloop", "/ping")] == [500, 500, 200]


@pytest.mark.parametrize(
    "path", ["/exec/default/p/c", "/attach/default/p/c", "/run/default/p/c", "/portForward/default/p"]
)
async def test_sessions_are_refused_with_a_status(client: Client, path: str) -> None:
    code, body = await client.ask(path, "admin", "POST")
    status = json.loads(body)
    assert (code, status["kind"], status["status"], status["code"]) == (501, "Status", "Failure", 501)
    assert "not supported" in status["message"]


@pytest.mark.parametrize("path", [LOGS, "/pods", "/metrics", "/stats/summary", "/configz"])
async def test_what_is_only_read_is_only_read(client: Client, path: str) -> None:
    assert (await client.ask(path, "admin", "POST"))[0] == 405


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/pods", "pods"),
        ("/runningpods/", "pods"),
        ("/configz", "configz"),
        ("/metrics", "metrics"),
        ("/metrics/resource", "metrics"),
        ("/stats/summary", "stats"),
        (LOGS, "proxy"),
    ],
)
async def test_each_route_has_its_own_right(client: Client, path: str, right: str) -> None:
    client.world.api.rules = set()
    assert (await client.ask(path, "reader"))[0] == 403
    client.world.api.rules = {("nobody", "get", right)}
    assert (await client.ask(path, "nobody"))[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/stats/summary", "/metrics/resource"])
async def test_the_general_right_does_not_stand_for_these(client: Client, path: str) -> None:
    """As a kubelet: proxy does not cover metrics and stats."""
    code, words = await client.ask(path, "reader")
    assert code == 403
    assert "user=reader" in words
    assert "verb=get" in words
