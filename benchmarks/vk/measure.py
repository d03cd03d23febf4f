"""What is measured, one thing after another, each with pods of its own that are gone afterwards.

Times are of one machine's clock: when kube-apiserver had answered a pod's creation, what the plugin's log says of the
pod, and when the benchmark's own watch saw the status.
"""

import asyncio
import itertools
import math
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp

from benchmarks.figures import CannotMeasureError, Figure
from benchmarks.vk import bare, machine
from benchmarks.vk.cluster import Cluster, Watch, at_most, at_once
from benchmarks.vk.stack import Stack
from interlink.vk.apiserver.access import Access

Json = dict[str, Any]
#: A turn's work, which lets all lives of pods pass by what counts them.
Work = Callable[[bare.During], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much of each: fewer make a benchmark that shows only that it works."""

    single: int = 100
    burst: int = 1_000
    round: int = 1_000
    rounds: int = 8
    followers: int = 200
    many: int = 10_000
    idle_seconds: float = 60.0


#: What an end-to-end rate has to reach, in pods a second, where kube-apiserver can.
RATE = 100.0
#: How long one pod lives in each part, in seconds.
SHORT, ROUND_LIFE, BURST_LIFE = 0.2, 1.0, 20.0
#: Pods that live at once where their rate is measured: what a rate of twice the target needs for such a life.
LIVING = 300
FOLLOW_SECONDS = 15.0
#: How long anything may take before it counts as lost.
LONGEST = 600.0


class Measure:
    """One run."""

    def __init__(self, cluster: Cluster, stack: Stack, access: Access, sizes: Sizes) -> None:
        self.cluster = cluster
        self.stack = stack
        self.access = access
        self.sizes = sizes
        self._numbers = itertools.count()

    async def figures(self, parts: Iterable[str]) -> AsyncIterator[Figure]:
        """Measure one thing after another. Raises CannotMeasureError."""
        every = {
            "single": self._single, "burst": self._burst, "rate": self._rate, "logs": self._logs, "many": self._many
        }  # fmt: skip
        for part in parts:
            before, began = self.stack.cpu_seconds(), time.monotonic()
            async for figure in every[part]():
                yield figure
            after, took = self.stack.cpu_seconds(), time.monotonic() - began
            used = ", ".join(f"{name} {after[name] - before.get(name, 0.0):.1f} s" for name in after)
            say(f"{part}: {took:.0f} s, CPU of {used}")
            await self.cluster.remove_pods()
            self.stack.check()

    async def _single(self) -> AsyncIterator[Figure]:
        """One pod after another through an idle virtual kubelet."""
        created: dict[str, float] = {}
        async with Watch(self.cluster, time.time) as watch:
            for _ in range(self.sizes.single):
                uid = await self._create(created, SHORT)
                await within(watch.until(uid, "Succeeded"))
        for figure in self._latencies("idle", created, watch, target=100.0):
            yield figure

    async def _burst(self) -> AsyncIterator[Figure]:
        """Create many pods at once."""
        created: dict[str, float] = {}
        count = self.sizes.burst
        async with Watch(self.cluster, time.time) as watch:
            began = time.time()
            await at_once(self._create(created, BURST_LIFE) for _ in range(count))
            creating = time.time() - began
            for phase in ("Running", "Succeeded"):
                await within(asyncio.gather(*(watch.until(uid, phase) for uid in created)))
        running = [watch.seen[uid]["Running"] - began for uid in created]
        changes = self.stack.changes()
        ends = max(watch.seen[uid]["Succeeded"] for uid in created) - max(changes[uid]["has ended"] for uid in created)
        what = f"{count} pods at once"
        yield Figure(figure=f"{what}: created by the client within", unit="s", target=None, measured=creating)
        yield Figure(figure=f"{what}: all Running within", unit="s", target=None, measured=max(running))
        yield Figure(figure=f"{what}: all Succeeded after the last one's end", unit="s", target=None, measured=ends)
        for figure in self._latencies(what, created, watch):
            yield figure

    async def _rate(self) -> AsyncIterator[Figure]:
        """Compare pods from creation to deletion with bare loops, by turns, so that all see the same machine.

        Many short rounds, for a machine that others use, too, is a third quicker in one minute than in the next; every
        other one backwards, for what makes each turn a little slower than the one before.
        """
        patching, replacing, ours = machine.Measured(), machine.Measured(), machine.Measured()
        count, node, turn = self.sizes.round, self.cluster.node, itertools.count()

        def end_to_end(during: bare.During) -> Awaitable[Any]:
            living = at_most(LIVING, count)
            return at_once(during((self._life(watch) for _ in range(count)), living), living)

        def by_hand(during: bare.During, *, replacing: bool) -> Awaitable[Any]:
            # A name for each turn: pods of a node that is missing for 40 s are removed by kube-controller-manager.
            return bare.lives(self.cluster, f"{node}-{next(turn)}", count, during, replacing=replacing)

        kinds: list[tuple[str, machine.Measured, Work]] = [
            ("bare loop, like a kubelet", patching, partial(by_hand, replacing=False)),
            ("end to end", ours, end_to_end),
            ("bare loop, like ours", replacing, partial(by_hand, replacing=True)),
        ]
        async with Watch(self.cluster, time.time) as watch:
            for number in range(1, self.sizes.rounds + 1):
                for what, turns, work in kinds:
                    await self._turn(f"round {number}: {what}", turns, work)
                kinds.reverse()
        baseline = patching.rate
        yield Figure(
            figure="pods end to end: created, Running, Succeeded, deleted", unit="pods/s", baseline=baseline,
            target=min(RATE, baseline), measured=ours.rate, at_least=True,
        )  # fmt: skip
        yield Figure(
            figure="a bare loop that replaces statuses as the virtual kubelet does", unit="pods/s", baseline=baseline,
            target=None, measured=replacing.rate,
        )  # fmt: skip
        for figure in machine.figures("a pod end to end", ours, patching):
            yield figure

    async def _turn(self, what: str, turns: machine.Measured, work: Work) -> None:
        """Do the work once the events of what was before are written, for they go on after its pods."""
        await within(self.cluster.events_settled())
        before = await self.cluster.count_events()
        this = machine.Measured()
        await within(work(lambda works, limit: this.sustained(self.stack, works, limit)))
        turns.add(this)
        told = await self.cluster.count_events() - before
        say(f"{what}: {this.rate:.0f} pods/s, with {told} events")

    async def _logs(self) -> AsyncIterator[Figure]:
        """Follow the logs of as many pods at once, by way of kube-apiserver, as kubectl logs -f does."""
        count = self.sizes.followers
        created: dict[str, float] = {}
        async with Watch(self.cluster, time.time) as watch:
            pods = await at_once(self.cluster.create(self._name()) for _ in range(count))
            await within(asyncio.gather(*(watch.until(pod["metadata"]["uid"], "Running") for pod in pods)))
        created.update((pod["metadata"]["name"], 0.0) for pod in pods)
        delays: dict[str, list[float]] = {name: [] for name in created}
        began = time.monotonic()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(self._follow(session, name, delays[name], began) for name in created))
        served = sum(len(seen) >= FOLLOW_SECONDS / 2 for seen in delays.values())
        every = [delay for seen in delays.values() for delay in seen]
        if not every:
            raise CannotMeasureError("no line of a followed log has come")
        yield Figure(figure="logs followed at once", unit="logs", target=count, measured=served, at_least=True)
        for share in (50, 99):
            yield Figure(figure=f"a line of {count} followed logs: p{share} from plugin to client", unit="ms",
                         target=None, measured=percentile(every, share) * 1000)  # fmt: skip

    async def _many(self) -> AsyncIterator[Figure]:
        """Fill the node, look at the memory, wait a while, and have all of it listed anew."""
        count = self.sizes.many
        created: dict[str, float] = {}
        async with Watch(self.cluster, time.time) as watch:
            began = time.monotonic()
            await at_once(self._create(created, None) for _ in range(count))
            await within(asyncio.gather(*(watch.until(uid, "Running") for uid in created)))
            say(f"{count} pods run after {time.monotonic() - began:.0f} s")
            await self._settle(watch)
            before, used = watch.events, self.stack.vk.cpu_seconds()
            looks = []
            for _ in range(10):
                await asyncio.sleep(self.sizes.idle_seconds / 10)
                looks.append(self.stack.vk.memory_mib())
            used = self.stack.vk.cpu_seconds() - used
            yield Figure(figure=f"{count} pods: resident memory", unit="MiB", target=150, measured=max(looks))
            yield Figure(figure=f"{count} pods: the most memory on the way there", unit="MiB", target=None,
                         measured=self.stack.vk.memory_mib("VmHWM"))  # fmt: skip
            yield Figure(figure=f"{count} pods: changes of pods in an idle minute", unit="patches", target=0,
                         measured=(watch.events - before) * 60 / self.sizes.idle_seconds)  # fmt: skip
            yield Figure(figure=f"{count} pods: CPU of an idle minute", unit="s", target=None,
                         measured=used * 60 / self.sizes.idle_seconds)  # fmt: skip
            lists = len(self.stack.listed())
            self.stack.vk.stop(signal.SIGKILL)
            before, began = watch.events, time.time()
            self.stack.vk.start()
            listed, when = await asyncio.to_thread(self.stack.wait_for_list, lists + 1, 120)
            if listed != count:
                raise CannotMeasureError(f"{listed} pods were listed of {count}")
            yield Figure(figure=f"{count} pods: listed after kill -9 and a new start within", unit="s", target=10,
                         measured=when - began)  # fmt: skip
            await asyncio.sleep(self.sizes.idle_seconds / 3)
            yield Figure(figure=f"{count} pods: changes of pods after kill -9", unit="patches", target=0,
                         measured=watch.events - before)  # fmt: skip
            yield Figure(figure=f"{count} pods: resident memory after kill -9", unit="MiB", target=150,
                         measured=self.stack.vk.memory_mib())  # fmt: skip

    async def _settle(self, watch: Watch) -> None:
        """Wait until nothing has come for five seconds."""
        async with asyncio.timeout(LONGEST):
            before = -1
            while before != watch.events:
                before = watch.events
                await asyncio.sleep(5)

    async def _create(self, created: dict[str, float], seconds: float | None) -> str:
        pod = await self.cluster.create(self._name(), seconds)
        uid: str = pod["metadata"]["uid"]
        created[uid] = time.time()
        return uid

    async def _life(self, watch: Watch) -> None:
        """Bring one pod from its creation to its end, and delete it."""
        pod = await self.cluster.create(self._name(), ROUND_LIFE)
        uid = pod["metadata"]["uid"]
        await watch.until(uid, "Succeeded")
        await self.cluster.remove_now(f"{self.cluster.pods}/{pod['metadata']['name']}", uid)
        await watch.until(uid, "DELETED")

    async def _follow(self, session: aiohttp.ClientSession, name: str, delays: list[float], began: float) -> None:
        url = f"{self.access.server}{self.cluster.pods}/{name}/log"
        options: Any = {"headers": self.access.headers(), "ssl": self.access.tls or False}
        try:
            async with session.get(url, params={"follow": "true"}, **options) as response:
                if response.status != 200:
                    raise CannotMeasureError(f"{url}: {response.status} {(await response.text())[:500]}")
                async with asyncio.timeout(max(0.1, began + FOLLOW_SECONDS - time.monotonic())):
                    async for line in response.content:
                        seen = time.time()
                        if line[:1].isdigit():
                            delays.append(seen - float(line))
        except TimeoutError:
            return
        except aiohttp.ClientError as error:
            raise CannotMeasureError(f"{url}: {error}") from error

    def _latencies(
        self, what: str, created: dict[str, float], watch: Watch, target: float | None = None
    ) -> Iterable[Figure]:
        """Return p50 and p99 of both ways; the target is the median's."""
        changes = self.stack.changes()
        there = [max(0.0, changes[uid]["runs"] - when) for uid, when in created.items()]
        back = []
        for uid in created:
            for change, phase in (("runs", "Running"), ("has ended", "Succeeded")):
                # A pod whose end overtook its start is shown in its end alone.
                if phase in watch.seen[uid]:
                    back.append(max(0.0, watch.seen[uid][phase] - changes[uid][change]))
        ways = {"from creation to the plugin's create": there, "from the plugin's change to the status": back}
        for way, seconds in ways.items():
            for share in (50, 99):
                yield Figure(figure=f"{what}: p{share} {way}", unit="ms", target=target if share == 50 else None,
                             measured=percentile(seconds, share) * 1000)  # fmt: skip

    def _name(self) -> str:
        return f"pod-{next(self._numbers)}"


async def within(awaitable: Any) -> Any:
    """Wait for it. Raises CannotMeasureError where it takes too long."""
    try:
        async with asyncio.timeout(LONGEST):
            return await awaitable
    except TimeoutError as error:
        raise CannotMeasureError(f"pods have not come as far as they should within {LONGEST:.0f} s") from error


def percentile(values: list[float], share: int) -> float:
    """Return the value that so many per cent do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * share / 100) - 1)]


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"bench-vk: {text}", file=sys.stderr, flush=True)
