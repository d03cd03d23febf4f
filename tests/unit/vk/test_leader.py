"""Leader election by a Lease: one replica works at a time, whatever breaks; client-go's rules, with short times."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from interlink.config import Config
from interlink.vk.apiserver.access import Access, NoAccessError
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import RetryError
from interlink.vk.apiserver.fake import FakeApiServer
from interlink.vk.leader.election import Election
from interlink.vk.leader.fence import Fence
from interlink.vk.leader.process import LeasePlace, lease_place
from interlink.vk.leader.record import Timing, new_lease, released, seen_again, taken
from interlink.vk.leader.replica import Replica
from tests.unit.vk.unhurried import UnhurriedClock

Eventually = Callable[..., Any]
Json = dict[str, Any]
LEASE = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/vk"
TIMING = Timing(lease=1, renew=0.6, retry=0.1)
NOWHERE = Access("http://127.0.0.1:1", None, dict)


class Member:
    """One replica, what it did when, and the ways in which it breaks."""

    def __init__(self, fake: FakeApiServer, terms: list[tuple[str, float]], clock: UnhurriedClock) -> None:
        self.fake = fake
        self.terms = terms
        self.clock = clock
        self.ahead = 0.0
        self.api = ApiServer(fake.access)
        self.election = Election(self.api, "ns", "vk", TIMING, lambda: clock.time() + self.ahead)
        self.replica = Replica(self.election, self.work)
        self.stop = asyncio.Event()
        self.slow = 0.0
        self.die = asyncio.Event()
        self.works = False
        self.task = asyncio.create_task(self.replica.run(self.stop))

    async def work(self, fence: Fence, halt: asyncio.Event) -> None:
        self.works = True
        self.terms.append(("begins", self.clock.time()))
        dying = asyncio.create_task(self.die.wait())
        halting = asyncio.create_task(halt.wait())
        try:
            await asyncio.wait({dying, halting}, return_when=asyncio.FIRST_COMPLETED)
            if self.die.is_set():
                raise ZeroDivisionError
            await asyncio.sleep(self.slow)
        finally:
            dying.cancel()
            halting.cancel()
            self.works = False
            self.terms.append(("ends", self.clock.time()))

    def cut_off(self) -> None:
        self.api.access = NOWHERE

    def reconnect(self) -> None:
        self.api.access = self.fake.access

    async def kill(self) -> None:
        """As kill -9 does: nothing is given back."""
        self.cut_off()
        self.election._claimed = False
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def end(self) -> None:
        self.stop.set()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.api.close()


class Site:
    """A fake kube-apiserver and replicas that come and go."""

    def __init__(self, api: FakeApiServer, clock: UnhurriedClock) -> None:
        self.api = api
        self.clock = clock
        self.terms: list[tuple[str, float]] = []
        self.members: list[Member] = []

    def add(self) -> Member:
        member = Member(self.api, self.terms, self.clock)
        self.members.append(member)
        return member

    @property
    def lease(self) -> Json:
        return self.api.objects[LEASE]

    @property
    def leaders(self) -> list[Member]:
        return [member for member in self.members if member.works]

    def assert_one_at_a_time(self) -> None:
        words = [what for what, _ in self.terms]
        assert words == ["begins", "ends"] * (len(words) // 2) + ["begins"] * (len(words) % 2), self.terms


@pytest.fixture
async def site(unhurried: UnhurriedClock) -> AsyncIterator[Site]:
    async with FakeApiServer().serve() as api:
        found = Site(api, unhurried)
        yield found
        for member in found.members:
            await member.end()


async def pair(site: Site, eventually: Eventually) -> tuple[Member, Member]:
    """Return a leader and a standby that has seen it lead."""
    leader = site.add()
    await eventually(lambda: leader.works)
    standby = site.add()
    await eventually(lambda: standby.election.holder == leader.election.identity)
    return leader, standby


async def test_one_leads_and_the_lease_says_who(site: Site, eventually: Eventually) -> None:
    leader, standby = await pair(site, eventually)
    first = site.lease["spec"]["renewTime"]
    await eventually(lambda: site.lease["spec"]["renewTime"] != first)
    assert site.lease["spec"]["holderIdentity"] == leader.election.identity
    assert (site.lease["spec"]["leaseTransitions"], site.lease["spec"]["leaseDurationSeconds"]) == (0, 1)
    assert site.lease["spec"]["acquireTime"] <= first
    assert (leader.replica.role(), standby.works) == ("leading", False)
    assert standby.replica.role() == f"standing by, {leader.election.identity} leads"


async def test_a_clean_stop_gives_the_lease_back_after_the_work_has_ended(site: Site, eventually: Eventually) -> None:
    leader, standby = await pair(site, eventually)
    leader.slow = 1.5  # longer than a lease: it is renewed while the work ends
    asked = site.clock.time()
    await leader.end()
    ended = site.clock.time()
    assert ended - asked >= 1.5
    await eventually(lambda: standby.works)
    assert site.clock.time() - ended < TIMING.lease, "nobody had to wait for the lease's end"
    assert site.lease["spec"]["leaseTransitions"] == 1
    site.assert_one_at_a_time()


async def test_a_killed_leaders_lease_is_taken_when_it_has_expired_and_not_before(
    site: Site, eventually: Eventually
) -> None:
    leader, standby = await pair(site, eventually)
    await leader.kill()
    killed = site.clock.time()
    await eventually(lambda: standby.works)
    waited = site.clock.time() - killed
    assert TIMING.lease - TIMING.retry - 0.1 < waited < TIMING.lease + 1.0
    assert site.lease["spec"]["holderIdentity"] == standby.election.identity


async def test_a_leader_that_is_cut_off_stops_before_another_begins(site: Site, eventually: Eventually) -> None:
    for _ in range(2):
        site.add()
    for turn in range(3):
        (leader,) = await eventually(lambda: site.leaders)
        leader.cut_off()
        await eventually(lambda turn=turn: len(site.terms) == 2 * turn + 3)  # one more has ended, one more has begun
        assert site.leaders != [leader]
        leader.reconnect()
    site.assert_one_at_a_time()
    (ended, begun) = (site.terms[-2][1], site.terms[-1][1])
    assert begun - ended > (TIMING.lease - TIMING.renew) / 2, "time for what was under way"


async def test_after_an_outage_longer_than_the_lease_the_same_processes_go_on(
    site: Site, eventually: Eventually
) -> None:
    members = [site.add(), site.add()]
    await eventually(lambda: site.leaders)
    for member in members:
        member.cut_off()
    await eventually(lambda: not site.leaders)
    await asyncio.sleep(TIMING.lease)
    assert not site.leaders
    assert all(member.replica.unready() for member in members)
    for member in members:
        member.reconnect()
    await eventually(lambda: len(site.leaders) == 1)
    await eventually(lambda: not any(member.replica.unready() for member in members))
    site.assert_one_at_a_time()
    assert not any(member.task.done() for member in members)


async def test_a_short_outage_is_not_noticed(site: Site, eventually: Eventually) -> None:
    leader, _ = await pair(site, eventually)
    leader.cut_off()
    await asyncio.sleep(TIMING.renew / 3)
    leader.reconnect()
    await asyncio.sleep(TIMING.lease)
    assert site.terms == [("begins", site.terms[0][1])]


async def test_a_leader_that_was_paused_writes_nothing_when_it_wakes(site: Site, eventually: Eventually) -> None:
    leader, _ = await pair(site, eventually)
    api = ApiServer(site.api.access, fence=leader.election.fence)
    try:
        await api.post("/api/v1/namespaces/ns/configmaps", {"metadata": {"name": "before"}})
        leader.ahead = TIMING.renew + 0.1  # the clock has gone on, and no timer of ours has run yet
        asked = len(site.api.requests)
        for write in (
            api.post("/api/v1/namespaces/ns/configmaps", {"metadata": {"name": "after"}}),
            api.patch(LEASE, {}), api.put(LEASE, {}), api.delete(LEASE, uid="", grace_seconds=0),
        ):  # fmt: skip
            with pytest.raises(RetryError, match="another replica may lead"):
                await write
        assert len(site.api.requests) == asked
        await api.get(LEASE)
        await eventually(lambda: not leader.works or len(site.terms) > 1)
    finally:
        await api.close()
    site.assert_one_at_a_time()


async def test_other_replicas_clocks_are_not_believed(site: Site, eventually: Eventually) -> None:
    leader, standby = await pair(site, eventually)
    for skewed in ("1999-01-01T00:00:00.000000Z", "2199-01-01T00:00:00.000000Z"):
        site.lease["spec"]["renewTime"] = skewed
        site.api.put(LEASE, site.lease)
        await asyncio.sleep(TIMING.lease)
        assert site.leaders == [leader]
    site.lease["spec"]["renewTime"] = "2199-01-01T00:00:00.000000Z"
    await leader.kill()
    await eventually(lambda: standby.works)


async def test_what_others_write_to_the_lease_costs_nobody_the_lead(site: Site, eventually: Eventually) -> None:
    leader, _ = await pair(site, eventually)
    for number in range(5):
        site.lease["metadata"]["labels"] = {"seen": str(number)}
        site.api.put(LEASE, site.lease)
        await asyncio.sleep(TIMING.renew / 2)
    assert site.leaders == [leader]
    assert site.lease["metadata"]["labels"] == {"seen": "4"}
    assert len(site.terms) == 1


def has_seen(member: Member, lease: Json) -> bool:
    seen = member.election._seen
    return seen is not None and bool(seen.lease["metadata"]["uid"] == lease["metadata"]["uid"])


async def test_a_deleted_lease_leads_to_no_second_leader(site: Site, eventually: Eventually) -> None:
    leader, standby = await pair(site, eventually)
    for _ in range(5):
        site.api.remove(LEASE)
        await eventually(lambda: LEASE in site.api.objects)
        assert site.lease["spec"]["holderIdentity"] == leader.election.identity
        # A standby that looks only while the Lease is away takes it for expired in the end.
        await eventually(lambda: has_seen(standby, site.lease))
    assert not standby.works
    assert len(site.terms) == 1


async def test_an_answer_that_got_lost_costs_nobody_the_lead(site: Site, eventually: Eventually) -> None:
    leader, _ = await pair(site, eventually)
    put = leader.api.put

    async def lossy(path: str, body: Json) -> Json:
        await put(path, body)
        leader.api.put = put  # type: ignore[method-assign]
        raise RetryError("the connection broke after the request was sent")

    for _ in range(3):
        leader.api.put = lossy  # type: ignore[method-assign]
        await eventually(lambda: leader.api.put == put)
        await asyncio.sleep(TIMING.renew)
    assert site.leaders == [leader]
    assert len(site.terms) == 1
    assert site.lease["spec"]["leaseTransitions"] == 0


async def test_work_that_dies_leaves_the_lease_to_another(site: Site, eventually: Eventually) -> None:
    leader, standby = await pair(site, eventually)
    leader.die.set()
    with pytest.raises(ZeroDivisionError):
        await leader.task
    died = site.clock.time()
    await eventually(lambda: standby.works)
    assert site.clock.time() - died < TIMING.lease


async def test_a_standby_that_stops_asks_for_nothing_more(site: Site, eventually: Eventually) -> None:
    leader, standby = await pair(site, eventually)
    before = site.api.count("PUT", LEASE)
    held = site.lease["spec"]["holderIdentity"]
    standby.stop.set()
    leader.api.access = NOWHERE  # whatever comes now is the standby's
    await standby.task
    assert site.api.count("PUT", LEASE) == before
    assert site.lease["spec"]["holderIdentity"] == held


async def test_a_stop_while_kube_apiserver_is_away_takes_no_longer_than_the_grace(
    site: Site, eventually: Eventually
) -> None:
    leader, standby = await pair(site, eventually)
    leader.cut_off()
    standby.cut_off()
    for member in (standby, leader):
        member.stop.set()
        async with asyncio.timeout(3 * TIMING.renew):
            await member.task


async def test_an_election_that_hangs_shows_in_the_health(site: Site, eventually: Eventually) -> None:
    leader, _ = await pair(site, eventually)
    assert leader.replica.pulse.late() == []
    beat, _seconds = leader.replica.pulse._loops["election"]
    leader.slow = 60.0
    leader.cut_off()
    await eventually(lambda: not leader.election.fence.remaining())
    later = leader.replica.pulse._loops["election"][0]
    await asyncio.sleep(TIMING.lease)
    assert leader.replica.pulse._loops["election"][0] == later > beat, "no sign of life while its work does not end"
    leader.task.cancel()
    await asyncio.gather(leader.task, return_exceptions=True)


def test_a_lease_has_expired_when_it_was_seen_unchanged_for_as_long_as_it_says() -> None:
    lease = taken(new_lease("ns", "vk"), "a", Timing(), "2026-01-01T00:00:00.000000Z")
    lease["metadata"]["uid"] = "1"
    seen = seen_again(None, lease, 100.0)
    seen = seen_again(seen, dict(lease), 114.0)
    assert (seen.is_free("b", 114.9), seen.is_free("b", 115.0), seen.is_free("a", 101.0)) == (False, True, True)
    renewed = seen_again(seen, taken(lease, "a", Timing(), "2026-01-01T00:00:10.000000Z"), 114.0)
    assert (renewed.is_free("b", 128.9), renewed.is_free("b", 129.0)) == (False, True)
    again = {**lease, "metadata": {**lease["metadata"], "uid": "2"}}
    assert seen_again(seen, again, 114.0).expires == 129.0


def test_a_released_lease_is_free_at_once_and_counts_its_next_holder() -> None:
    lease = taken(new_lease("ns", "vk"), "a", Timing(), "2026-01-01T00:00:00.000000Z")
    free = seen_again(None, released(seen_again(None, lease, 1.0), "2026-01-01T00:00:05.000000Z"), 2.0)
    assert free.is_free("b", 2.0)
    spec = taken(free.lease, "b", Timing(), "2026-01-01T00:00:06.000000Z")["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"], spec["leaseDurationSeconds"]) == ("b", 1, 15)


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": None}, {"leaseDurationSeconds": 30}])
def test_a_lease_that_somebody_made_by_hand_is_free(spec: Json | None) -> None:
    lease = {**new_lease("ns", "vk"), "spec": spec}
    assert seen_again(None, lease, 0.0).is_free("a", 0.0)
    assert taken(lease, "a", Timing(), "2026-01-01T00:00:00.000000Z")["spec"]["leaseTransitions"] == 0


def test_the_leases_namespace_is_the_service_accounts_own_unless_the_configuration_says_another(
    tmp_path: Path,
) -> None:
    assert lease_place(Config(), tmp_path) is None
    with pytest.raises(NoAccessError, match="LeaderElectionNamespace"):
        lease_place(Config(leader_election_lease="vk"), tmp_path)
    (tmp_path / "namespace").write_text("site\n")
    assert lease_place(Config(leader_election_lease="vk"), tmp_path) == LeasePlace("site", "vk")
    config = Config(leader_election_lease="vk", leader_election_namespace="other")
    assert lease_place(config, tmp_path) == LeasePlace("other", "vk")
