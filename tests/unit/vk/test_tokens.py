"""Tokens of pods where the cluster's clock and ours differ."""

import time

import pytest

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.fake import FakeApiServer
from interlink.vk.volumes.tokens import Tokens

SOURCE = {"path": "token", "expirationSeconds": 600}
POD = {"metadata": {"namespace": "ns", "name": "p", "uid": "u"}, "spec": {"serviceAccountName": "default"}}


@pytest.mark.parametrize("ahead", [-7200, -300, 0, 300, 7200])
async def test_a_token_is_renewed_in_time_and_not_all_the_time_by_whatever_clock(ahead: int) -> None:
    async with FakeApiServer().serve() as server, ApiServer(server.access) as api:
        passed = 0.0
        server.clock = lambda: time.time() + passed
        tokens = Tokens(api, lambda: time.time() + passed + ahead)
        first = await tokens.get(POD, SOURCE)
        passed = 55.0
        assert await tokens.get(POD, SOURCE) is first
        passed = 481.0  # a fifth of its life is left
        second = await tokens.get(POD, SOURCE)
        assert second.text != first.text
        passed += 55.0
        assert await tokens.get(POD, SOURCE) is second
