"""What the answers to our own patches tell."""

from collections.abc import Callable
from typing import Any

import pytest

World = Any  # of conftest.py, which cannot be imported
Eventually = Callable[..., Any]


async def test_a_deletion_that_is_first_seen_in_the_answer_to_our_own_patch_ends_the_job(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = world.add_pod("p")["metadata"]["uid"]
    patch = world.api._patch

    def delete_and_patch(path: str, body: dict[str, Any]) -> Any:
        if path.endswith("/pods/p/status") and not world.pod("p")["metadata"].get("deletionTimestamp"):
            with monkeypatch.context() as silent:  # by the time that the watch tells of both, the answer has
                silent.setattr(world.api, "_tell", lambda *_: None)
                world.api._delete("/api/v1/namespaces/default/pods/p", {"gracePeriodSeconds": 30})
                return patch(path, body)
        return patch(path, body)

    monkeypatch.setattr(world.api, "_patch", delete_and_patch)
    async with world.running():
        await eventually(lambda: uid in world.edge.deleted)
