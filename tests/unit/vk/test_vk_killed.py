"""A virtual kubelet is killed at any moment, beside whatever else happens: no job is lost, doubled or left over."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from interlink.vk import main

World = Any  # of conftest.py, which cannot be imported
Eventually = Callable[..., Any]
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:01Z"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-01-01T00:00:09Z"}}
TURNS = 60


class Story:
    """What happens to some pods while virtual kubelets come and go; the same for the same seed, but for the loop."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.number = 0
        #: Names of the pods that nobody deletes, and of those that somebody has deleted.
        self.kept: dict[str, str] = {}
        self.deleted: dict[str, str] = {}
        self.stop: Callable[[], Awaitable[None]] | None = None
        world.edge.end_on_delete = True

    async def turn(self) -> None:
        """Let one thing happen."""
        happens = self.dice.choice(
            [self.create, self.create, self.delete, self.force, self.replace, self.move, self.move, self.end, self.kill,
             self.kill, self.fail, self.refuse, self.forget_history, self.restart_edge]
        )  # fmt: skip
        await happens()
        await asyncio.sleep(self.dice.choice((0, 0, 0.001, 0.01, 0.05)))

    async def start(self) -> None:
        """Start a virtual kubelet, whose end by ``kill`` sends no word to anybody."""
        kubelet = main.VirtualKubelet(self.world.config(), self.world.api.access, self.world.clock)
        await kubelet.__aenter__()
        task = asyncio.create_task(kubelet.run(asyncio.Event()))

        async def stop() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await kubelet.__aexit__(None, None, None)

        self.stop = stop

    async def kill(self) -> None:
        assert self.stop
        await self.stop()
        await self.start()

    async def create(self) -> None:
        name = f"p{self.number}"
        self.number += 1
        self.kept[name] = self.world.add_pod(name)["metadata"]["uid"]

    async def delete(self) -> None:
        if self.kept:
            name = self.dice.choice(sorted(self.kept))
            self.deleted[name] = self.kept.pop(name)
            if self.world.pod(name):
                await self.world.delete(name, self.dice.choice((0, 1, 30)))

    async def force(self) -> None:
        if self.kept:
            name = self.dice.choice(sorted(self.kept))
            self.deleted[name] = self.kept.pop(name)
            if self.world.pod(name):
                self.world.api.remove(f"/api/v1/namespaces/default/pods/{name}")

    async def replace(self) -> None:
        """Put another pod of the same name in a pod's place."""
        if self.kept:
            name = self.dice.choice(sorted(self.kept))
            old = self.kept[name]
            if self.world.pod(name):
                self.world.api.remove(f"/api/v1/namespaces/default/pods/{name}")
            self.deleted[f"{name} ({old})"] = old
            self.kept[name] = self.world.add_pod(name)["metadata"]["uid"]

    async def move(self) -> None:
        waiting = [uid for uid, status in self.world.edge.statuses.items() if not status.ended]
        if waiting:
            self.world.edge.say(self.dice.choice(waiting), RUNNING)

    async def end(self) -> None:
        running = [uid for uid, status in self.world.edge.statuses.items() if not status.ended]
        if running:
            self.world.edge.say(self.dice.choice(running), DONE, ended=True)

    async def fail(self) -> None:
        """Let some of the next requests fail on either side."""
        what = self.dice.choice(("PATCH", "PUT", "GET /api/v1/pods", "GET", "DELETE", "POST"))
        self.world.api.fail(what, self.dice.choice((429, 500, 503)), self.dice.randint(1, 4))

    async def refuse(self) -> None:
        """Have the edge away for a moment."""
        self.world.edge.failures[self.dice.choice(("", "/create", "/delete", "/changes"))] = (503, {"title": "away"})
        await asyncio.sleep(self.dice.uniform(0, 0.05))
        self.world.edge.failures.clear()

    async def forget_history(self) -> None:
        self.world.api.watch_errors.append({"kind": "Status", "code": self.dice.choice((410, 500))})
        self.world.api.compact()

    async def restart_edge(self) -> None:
        self.world.edge.restart()

    def wrong(self) -> list[str]:
        """Return what is not as it should be, once all has had its time."""
        edge, found = self.world.edge, []
        for name, uid in self.kept.items():
            pod, job = self.world.pod(name), edge.statuses.get(uid)
            if not pod or job is None or uid in edge.deleted:
                found.append(f"{name} is lost: {bool(pod)} {job}")
                continue
            state = next(iter(job.containers[0]["state"]))
            wanted = "Succeeded" if job.ended else "Running" if state == "running" else "Pending"
            if pod["status"]["phase"] != wanted:
                found.append(f"{name} is {pod['status']['phase']} and not {wanted}")
        for name, uid in self.deleted.items():
            if self.world.pod(name).get("metadata", {}).get("uid") == uid:
                found.append(f"{name} is still there")
            if uid in edge.statuses and not edge.statuses[uid].ended:
                found.append(f"{name} is a job of no pod")
        return found


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_when_every_pod_has_its_job_and_every_job_its_pod(
    world: World, eventually: Eventually, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.pods.ending.LAG_SECONDS", 0.05)
    monkeypatch.setattr("interlink.vk.pods.ending.LOST_SECONDS", 600.0)
    monkeypatch.setattr("interlink.vk.apiserver.reflector.LONGEST_PAUSE", 0.2)
    story = Story(world, seed)
    await story.start()
    try:
        for _ in range(TURNS):
            await story.turn()
        world.api.failures.clear()
        world.api.watch_errors.clear()
        try:
            await eventually(lambda: not story.wrong(), 15)
        except AssertionError:
            pytest.fail("; ".join(story.wrong()))
        assert set(world.edge.created) <= {*story.kept.values(), *story.deleted.values()}
    finally:
        assert story.stop
        await story.stop()
