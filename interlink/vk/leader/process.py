"""One process of the virtual kubelet: its health port, its part in the election, and the work of a leader.

Called by ``main.py``, which says what the work is.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from interlink.config import Config
from interlink.vk.apiserver.access import SERVICE_ACCOUNT, Access, NoAccessError
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.leader.election import Election
from interlink.vk.leader.health import HealthServer
from interlink.vk.leader.record import Timing
from interlink.vk.leader.replica import Replica, Work


@dataclass(frozen=True)
class LeasePlace:
    """Where the Lease is by which replicas elect a leader, and its times."""

    namespace: str
    name: str
    timing: Timing = field(default_factory=Timing)


def lease_place(config: Config, folder: Path = SERVICE_ACCOUNT) -> LeasePlace | None:
    """Return where the Lease is, None where there is no election. Raises NoAccessError where nothing says it."""
    if not config.leader_election_lease:
        return None
    namespace = config.leader_election_namespace
    if not namespace:
        try:
            namespace = (folder / "namespace").read_text(encoding="utf-8").strip()
        except OSError as error:
            raise NoAccessError(
                f"key LeaderElectionLease is set and the namespace of the Lease is not known: {error}; "
                "set LeaderElectionNamespace"
            ) from error
    return LeasePlace(namespace, config.leader_election_lease)


@dataclass(frozen=True)
class Leader:
    """What a leader does, and what is wrong with it: ``health`` while it hangs, ``unready`` while it begins."""

    work: Work
    health: Callable[[], list[str]]
    unready: Callable[[], list[str]]


async def run_process(
    access: Access, place: LeasePlace | None, health_port: int, leader: Leader, stop: asyncio.Event
) -> None:
    """Stand by, lead and answer probes until ``stop`` is set; raises what the work died of."""
    async with AsyncExitStack() as stack:
        election = None
        if place:
            api = ApiServer(access)
            stack.push_async_callback(api.close)
            election = Election(api, place.namespace, place.name, place.timing)
        replica = Replica(election, leader.work)
        if health_port:
            server = HealthServer(
                health_port,
                lambda: replica.pulse.late() + leader.health(),
                lambda: replica.unready() + leader.unready(),
                replica.role,
            )
            await stack.enter_async_context(server)
        await replica.run(stop)
