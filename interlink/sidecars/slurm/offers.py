"""What the site has in all, and what single partitions and flavors of it have, for the virtual nodes' capacity.

Used by ``backend.py`` to answer pings. Slurm is asked for each of them every few seconds at most.
"""

import logging
import threading
import time

from interlink.core.job.flags import merge
from interlink.core.job.rules import JobRules
from interlink.sidecars.backend import Unavailable
from interlink.sidecars.slurm.driver import Capacity, SlurmDriver, SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.site import Site
from interlink.wire.messages import Accelerator, Resources

log = logging.getLogger(__name__)

_CAPACITY_SECONDS = 10.0


class Offers:
    """Capacities by partition; every method raises Unavailable while Slurm does not answer."""

    def __init__(self, driver: SlurmDriver, site: Site, rules: JobRules, max_pods: int) -> None:
        self._driver = driver
        self._site = site
        self._rules = rules
        self._max_pods = max_pods
        #: When Slurm was asked, and its answer: None where it knows no such partition.
        self._held: dict[str, tuple[float, Capacity | None]] = {}
        self._lock = threading.Lock()

    def total(self) -> Resources:
        """Return what all partitions of the rules have; one that is not there must not cost the others."""
        partitions = self._rules.partitions()
        first = partitions.partition(",")[0]
        capacity = self._capacity(partitions)
        if capacity is None and first != partitions:
            capacity = self._capacity(first)
        if capacity is None:
            raise Unavailable(f"Slurm: {self._none(first)}")
        return self._resources(capacity)

    def partition(self, name: str) -> Resources | None:
        """Return what the partition has, None where there is no such one."""
        capacity = self._capacity(name)
        return self._resources(capacity) if capacity else None

    def flavor(self, name: str) -> Resources | None:
        """Return what the partition of the flavor's jobs has, None where there is no such flavor or partition."""
        flavor = self._rules.flavors.get(name)
        if flavor is None:
            return None
        flags = merge(self._rules.flags, flavor.flags, self._rules.policy.forced)
        return self.partition(flags.get("partition", ""))

    def _capacity(self, partitions: str) -> Capacity | None:
        with self._lock:
            now = time.monotonic()
            if self._site.outage:
                raise Unavailable(f"Slurm does not answer: {self._site.outage}")
            asked, capacity = self._held.get(partitions, (-float("inf"), None))
            if now - asked > _CAPACITY_SECONDS:
                first = partitions not in self._held
                try:
                    capacity = self._driver.totals(partitions)
                except SlurmRefused as error:
                    capacity = None
                    log.log(logging.WARNING if first else logging.DEBUG, "%s: %s", self._none(partitions), error)
                except SlurmUnavailable as error:
                    raise Unavailable(f"Slurm: {error}") from error
                self._held[partitions] = (now, capacity)
            return capacity

    @staticmethod
    def _none(partitions: str) -> str:
        return f"no capacity of partition {partitions}" if partitions else "no capacity of a default partition"

    def _resources(self, capacity: Capacity) -> Resources:
        return Resources(
            cpu=str(capacity.cpus),
            memory=f"{capacity.memory_mib}Mi",
            pods=str(self._max_pods),
            accelerators=[
                Accelerator(resourceType=name, available=str(pieces))
                for name, pieces in self._rules.gres.offered(capacity.gres).items()
            ],
        )
