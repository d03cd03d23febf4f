"""The kubelet port over real TLS: who may ask (point 20), and logs (point 22)."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.unit.vk.authority import SERVER, Authority
from tests.unit.vk.port import LOGS, Client

Eventually = Callable[..., Any]


@pytest.mark.parametrize(
    ("token", "path", "status"),
    [
        ("", "/healthz", 200),
        ("", "/pods", 401),
        ("wrong", LOGS, 401),
        ("nobody", LOGS, 403),
        ("reader", LOGS, 200),
        ("reader", "/pods", 200),
        ("reader", "/exec/default/p/c?command=id", 403),
        ("reader", "/metrics", 403),
        ("admin", "/exec/default/p/c", 501),
        ("admin", "/portForward/default/p", 501),
        ("admin", "/metrics", 200),
        ("admin", "/containerLogs/default/p", 404),
        ("admin", "/containerLogs/default/other/c", 404),
        ("admin", "/containerLogs/default/p/other", 404),
        ("admin", "/../../etc/passwd", 404),
    ],
)
async def test_who_may_ask_what(client: Client, token: str, path: str, status: int) -> None:
    assert (await client.ask(path, token))[0] == status


async def test_reviews_are_remembered(client: Client) -> None:
    for _ in range(5):
        await client.ask("/pods", "reader")
    assert client.world.api.count("POST", "tokenreviews") == 1
    # "pods" is tried first and refused, "proxy" is what is allowed.
    assert client.world.api.count("POST", "subjectaccessreviews") == 2


async def test_a_failing_review_lets_nobody_in(client: Client) -> None:
    client.world.api.fail("POST /apis/authentication", 500)
    assert (await client.ask("/pods", "admin"))[0] == 500


CLIENT_CA = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
MASTER = ("kube-apiserver-kubelet-client", "system:masters")


async def trust(client: Client, *authorities: Authority) -> None:
    client.world.api.put(CLIENT_CA, {"data": {"client-ca-file": "".join(each.pem for each in authorities)}})
    await client.kubelet.server.refresh()


async def test_client_certificates(client: Client, tmp_path: Path) -> None:
    authority = Authority()
    await trust(client, authority)
    assert (await client.ask("/pods", ""))[0] == 401, "a client without one is still heard"
    client.context.load_cert_chain(authority.client(tmp_path, *MASTER))
    assert (await client.ask("/pods", ""))[0] == 200
    assert client.world.api.count("POST", "tokenreviews") == 0


async def refused(client: Client, certificate: Path) -> bool:
    client.context.load_cert_chain(certificate)
    try:
        return (await client.ask("/pods", ""))[0] == 401
    except (aiohttp.ClientError, OSError):
        return True


async def test_a_stranger_s_certificate_is_refused(client: Client, tmp_path: Path) -> None:
    await trust(client, Authority())
    assert await refused(client, Authority().client(tmp_path, *MASTER))


async def test_a_server_s_certificate_makes_no_client(client: Client, tmp_path: Path) -> None:
    authority = Authority()
    await trust(client, authority)
    assert await refused(client, authority.client(tmp_path, *MASTER, use=SERVER))


async def test_a_ca_that_was_taken_away_is_trusted_no_more(client: Client, tmp_path: Path) -> None:
    old, new = Authority("old"), Authority("new")
    await trust(client, old, new)
    certificate = old.client(tmp_path, *MASTER)
    client.context.load_cert_chain(certificate)
    assert (await client.ask("/pods", ""))[0] == 200
    await trust(client, new)
    assert await refused(client, certificate)


async def test_an_intermediate_ca_is_trusted_by_itself(client: Client, tmp_path: Path) -> None:
    intermediate = Authority("intermediate", issuer=Authority("root"))
    await trust(client, intermediate)
    client.context.load_cert_chain(intermediate.client(tmp_path, *MASTER))
    assert (await client.ask("/pods", ""))[0] == 200


async def test_a_ca_that_changes_is_noticed_by_the_first_who_comes(
    client: Client, tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trust(client, Authority("old"))
    authority = Authority("new")
    client.world.api.put(CLIENT_CA, {"data": {"client-ca-file": authority.pem}})
    certificate = authority.client(tmp_path, *MASTER)
    assert await refused(client, certificate)
    assert client.kubelet.server._doubted.is_set()


async def test_rubbish_for_a_client_ca_keeps_the_old_one(client: Client, tmp_path: Path) -> None:
    authority = Authority()
    await trust(client, authority)
    for rubbish in ("no PEM", "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        client.world.api.put(CLIENT_CA, {"data": {"client-ca-file": rubbish}})
        await client.kubelet.server.refresh()
    client.context.load_cert_chain(authority.client(tmp_path, *MASTER))
    assert (await client.ask("/pods", ""))[0] == 200


async def test_logs_pass_their_options_on(client: Client) -> None:
    assert await client.ask(f"{LOGS}?tailLines=3&timestamps=true&previous=true&unknown=1") == (200, "hello\n")
    asked = client.world.edge.log_requests[-1]
    assert (asked["PodUID"], asked["PodName"], asked["ContainerName"]) == (client.uid, "p", "c")
    assert (asked["Opts"]["Tail"], asked["Opts"]["Timestamps"], asked["Opts"]["Previous"]) == (3, True, True)
    await client.ask(f"{LOGS}?sinceTime=2026-01-01T00:00:00Z")
    assert client.world.edge.log_requests[-1]["Opts"]["SinceTime"] == "2026-01-01T00:00:00Z"
    assert await client.ask(f"{LOGS}?limitBytes=3") == (200, "hel")
    assert await client.ask(f"{LOGS}?limitBytes=2&tailLines=1") == (200, "he")
    assert client.world.edge.log_requests[-1]["Opts"]["Bytes"] == 0, "the protocol forbids both"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("follow=true&tailLines=3", {"Follow": True, "Tail": 3, "SinceSeconds": 0}),
        ("sinceSeconds=60", {"Follow": False, "Tail": 0, "SinceSeconds": 60}),
        ("follow=true&tailLines=3&sinceSeconds=60", {"Follow": True, "Tail": 3, "SinceSeconds": 60}),
        ("follow=true&sinceTime=2026-01-01T00:00:00Z", {"Follow": True, "SinceTime": "2026-01-01T00:00:00Z"}),
        ("stream=Stderr&sinceSeconds=60", {"Stream": "Stderr", "SinceSeconds": 60}),
        ("stream=All&tailLines=3", {"Stream": "", "Tail": 3}),
        ("follow&timestamps=True", {"Follow": True, "Timestamps": True}),
        ("follow=false&timestamps=0&previous=False", {"Follow": False, "Timestamps": False, "Previous": False}),
        ("tailLines=3&limitBytes=100&sinceSeconds=60", {"Tail": 3, "SinceSeconds": 60}),
    ],
)
async def test_options_reach_the_edge_together(client: Client, query: str, options: dict[str, Any]) -> None:
    assert await client.ask(f"{LOGS}?{query}") == (200, "hello\n")
    asked = client.world.edge.log_requests[-1]["Opts"]
    assert {name: asked[name] for name in options} == options


async def test_tail_zero(client: Client) -> None:
    assert await client.ask(f"{LOGS}?tailLines=0") == (200, "")
    assert client.world.edge.log_requests[-1]["Opts"]["Tail"] == 1, "0 is all of it in the protocol"
    await client.ask(f"{LOGS}?tailLines=0&follow=true&sinceSeconds=60")
    asked = client.world.edge.log_requests[-1]["Opts"]
    assert (asked["FromEnd"], asked["Tail"], asked["SinceSeconds"]) == (True, 0, 0)
    assert asked["SinceTime"] > "2026", "for a plugin that does not know FromEnd"


@pytest.mark.parametrize("query", ["tailLines=0", "tailLines=0&follow=true", "tailLines=0&limitBytes=3"])
async def test_no_line_of_a_container_that_has_not_started_is_refused_as_a_kubelet_does(
    client: Client, query: str
) -> None:
    client.world.edge.log_status = (400, b'{"title": "t", "description": "waiting to start: SlurmPending"}')
    assert await client.ask(f"{LOGS}?{query}") == (400, "waiting to start: SlurmPending\n")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("tailLines=abc", 400),
        ("tailLines=1-1", 400),
        ("tailLines=--1", 400),
        ("tailLines=99999999999999999999", 400),
        ("sinceSeconds=1.5", 400),
        ("sinceTime=now", 400),
        ("tailLines=-1", 422),
        ("limitBytes=0", 422),
        ("stream=stdout", 422),
        ("stream=Stdout&tailLines=1", 422),
        ("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", 422),
    ],
)
async def test_wrong_options(client: Client, query: str, code: int) -> None:
    """As kubelet: 400 for what cannot be read, 422 for what must not be."""
    status, words = await client.ask(f"{LOGS}?{query}")
    assert status == code
    assert "internal" not in words
    assert words.strip()
    assert not client.world.edge.log_requests


async def test_words_on_a_log_that_is_not_there_reach_kubectl(client: Client, eventually: Eventually) -> None:
    """Of a 404 kubectl shows only that there was nothing."""
    client.world.edge.say(client.uid, {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
    await eventually(lambda: client.world.phase("p") == "Running")
    client.world.edge.log_status = (404, b'{"title": "t", "description": "previous terminated container not found"}')
    assert await client.ask(f"{LOGS}?previous=true") == (400, "previous terminated container not found\n")


async def test_one_stream_of_a_plugin_that_has_none(client: Client) -> None:
    client.world.edge.reply.extensions = ["changes"]
    client.kubelet.shared.link.reply = client.world.edge.reply
    assert (await client.ask(f"{LOGS}?stream=Stdout"))[0] == 400
    assert not client.world.edge.log_requests
    assert (await client.ask(f"{LOGS}?stream=All"))[0] == 200


@pytest.mark.parametrize(("edge", "status"), [(400, 400), (404, 400), (502, 500)])
async def test_errors_have_the_edge_s_words(client: Client, edge: int, status: int) -> None:
    client.world.edge.log_status = (edge, b'{"title": "t", "description": "waiting to start: SlurmPending"}')
    got, words = await client.ask(LOGS)
    assert got == status
    assert "waiting to start" in words


async def test_follow_is_flushed_and_freed(client: Client, eventually: Eventually) -> None:
    client.world.edge.log = []
    client.world.edge.hold_log = True
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": "Bearer admin"}
        async with asyncio.timeout(2):
            response = await session.get(client.base + LOGS + "?follow=true", ssl=client.context, headers=headers)
        assert response.status == 200, "the head comes before the first byte"
        await eventually(lambda: client.world.edge.log_open == 1)
        response.close()
        await eventually(lambda: client.world.edge.log_open == 0)


async def test_two_hundred_followers(client: Client, eventually: Eventually) -> None:
    client.world.edge.hold_log = True
    headers = {"Authorization": "Bearer admin"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:
        url = client.base + LOGS + "?follow=true"
        responses = await asyncio.gather(*[session.get(url, ssl=client.context) for _ in range(200)])
        lines = await asyncio.gather(*[response.content.readline() for response in responses])
        assert set(lines) == {b"hello\n"}
        for response in responses:
            response.close()
    await eventually(lambda: client.world.edge.log_open == 0)
