"""Two drivers as one: one looks at all jobs, the other acts, and neither waits for the other.

Made by ``choice`` of two pyslurm processes. A look at ten thousand jobs takes such a process half a second, and while
it waits for slurmctld it does nothing else; so a submit goes to whichever has less to do, which made 500 submits a
second of 400, for 25 MiB. Looks always go to the same one, because a process keeps the memory that it took to hold all
jobs once.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from interlink.core.job.facts import JobFacts
from interlink.sidecars.slurm.driver import Capacity, JobRequest, SlurmDriver


class DriverPair:
    """``SlurmDriver`` of two drivers of the same site."""

    def __init__(self, looking: SlurmDriver, acting: SlurmDriver) -> None:
        self._looking = looking
        self._acting = acting
        #: Calls that each has been given and has not answered; of equals, the first is the freer one.
        self._given = {acting: 0, looking: 0}
        self._lock = threading.Lock()

    def submit(self, request: JobRequest) -> int:
        """See SlurmDriver."""
        with self._call(self._acting, self._looking) as driver:
            return driver.submit(request)

    def jobs(self) -> dict[int, JobFacts]:
        """See SlurmDriver."""
        with self._call(self._looking) as driver:
            return driver.jobs()

    def history(self, job_ids: Iterable[int]) -> dict[int, JobFacts]:
        """See SlurmDriver."""
        with self._call(self._looking) as driver:
            return driver.history(job_ids)

    def signal(self, job_id: int, name: str) -> bool:
        """See SlurmDriver."""
        with self._call(self._acting) as driver:
            return driver.signal(job_id, name)

    def cancel(self, job_id: int) -> None:
        """See SlurmDriver."""
        with self._call(self._acting) as driver:
            driver.cancel(job_id)

    def totals(self, partition: str) -> Capacity:
        """See SlurmDriver."""
        with self._call(self._looking) as driver:
            return driver.totals(partition)

    def close(self) -> None:
        """Close both."""
        self._looking.close()
        self._acting.close()

    @contextmanager
    def _call(self, *drivers: SlurmDriver) -> Iterator[SlurmDriver]:
        """Give a call to the one of the drivers that has the fewest."""
        with self._lock:
            driver = min(drivers, key=self._given.__getitem__)
            self._given[driver] += 1
        try:
            yield driver
        finally:
            with self._lock:
                self._given[driver] -= 1
