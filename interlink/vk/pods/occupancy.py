"""What the node's pods hold of it: asked for by admission of pods that no scheduler has placed.

Told of each change of a pod by the pod store, which costs nothing; a pod is counted when somebody asks. Invariant: what
counts is what was admitted here, or what the edge knows, and not over: not those that wait for admission themselves.
"""

import asyncio
from collections import Counter

from interlink.core.quantity import Amount, QuantityError
from interlink.vk.edge.book import StatusBook
from interlink.vk.pods.admission import Demand, pod_demand
from interlink.vk.pods.store import PodStore

#: So many pods are unpacked and counted before others have their turn.
AT_ONCE = 50


class Occupancy:
    """The sum of all pods' demands, by pod UID."""

    def __init__(self, store: PodStore, book: StatusBook) -> None:
        self.store = store
        self.book = book
        self._held: dict[str, Demand] = {}
        self._amounts: dict[str, Amount] = {}
        self._ports: Counter[tuple[str, str, int]] = Counter()
        self._changed: set[str] = set(store.pods)
        store.watchers.append(self._changed.add)

    async def catch_up(self) -> None:
        """Count what has changed since the last time."""
        while self._changed:
            for _ in range(min(AT_ONCE, len(self._changed))):
                self._look(self._changed.pop())
            await asyncio.sleep(0)

    def others(self, uid: str) -> Demand:
        """Return what all counted pods but this one ask for together."""
        self._drop(uid)
        return Demand(dict(self._amounts), frozenset(self._ports))

    def take(self, uid: str, demand: Demand) -> None:
        """Count a pod that was admitted."""
        self._drop(uid)
        self._held[uid] = demand
        self._ports.update(demand.ports)
        for name, amount in demand.amounts.items():
            self._amounts[name] = self._amounts.get(name, 0) + amount

    def _look(self, uid: str) -> None:
        record = self.store.get(uid)
        if record is None or record.terminal:
            self._drop(uid)
        elif uid not in self._held and (record.ran or self.book.get(uid)):
            try:
                self.take(uid, pod_demand(record.load()))
            except QuantityError:
                return  # the API lets no such amount in; what cannot be counted holds up no other pod

    def _drop(self, uid: str) -> None:
        demand = self._held.pop(uid, None)
        if demand is None:
            return
        for name, amount in demand.amounts.items():
            self._amounts[name] -= amount
        self._ports -= Counter(demand.ports)
