"""Two drivers as one: what goes to which, and that one which hangs holds up nobody else."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interlink.sidecars.slurm.driver import Capacity, SlurmDriver, SlurmUnavailable
from interlink.sidecars.slurm.drivers.pair import DriverPair
from interlink.sidecars.slurm.fake import FakeSlurm
from tests.unit.sidecars.slurm.driver_contract import DriverContract, make_request


class TestTwoWaysToOneSite(DriverContract):
    """The contract, on a pair whose drivers lead to the same site."""

    @pytest.fixture
    def driver(self) -> SlurmDriver:
        self.site = FakeSlurm()
        return DriverPair(self.site, self.site)

    def make_running(self, driver: SlurmDriver, job_id: int) -> None:
        self.site.move(job_id, "RUNNING")

    def after_term(self, driver: SlurmDriver, job_id: int) -> None:
        self.site.move(job_id, "COMPLETED")


@pytest.fixture
def looking() -> FakeSlurm:
    return FakeSlurm()


@pytest.fixture
def acting() -> Iterator[FakeSlurm]:
    site = FakeSlurm()
    site.hang = threading.Event()
    site.hang.set()
    yield site
    site.hang.set()


@pytest.fixture
def pair(looking: FakeSlurm, acting: FakeSlurm) -> DriverPair:
    return DriverPair(looking, acting)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_looks_and_the_other_acts(pair: DriverPair, looking: FakeSlurm, acting: FakeSlurm) -> None:
    assert pair.submit(make_request(Path("/tmp"))) == 1
    assert pair.jobs() == {}
    assert pair.history([1]) == {}
    assert pair.totals("") == Capacity(cpus=32, memory_mib=65_536, nodes=2, gres={"gpu:a100": 4, "gpu": 2})
    pair.cancel(1)
    pair.signal(1, "TERM")
    assert (looking.calls, acting.calls) == (["jobs", "history", "totals"], ["submit", "cancel", "signal"])


def test_a_submit_goes_to_the_other_one_while_the_first_is_at_one(
    pair: DriverPair, looking: FakeSlurm, acting: FakeSlurm
) -> None:
    assert acting.hang
    acting.hang.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(pair.submit, make_request(Path("/tmp")))
        eventually(lambda: acting.calls == ["submit"])
        pair.submit(make_request(Path("/tmp")))
        assert looking.calls == ["submit"]
        acting.hang.set()
        first.result(10)
    pair.submit(make_request(Path("/tmp")))
    assert acting.calls == ["submit", "submit"]


def test_a_call_that_fails_is_no_longer_counted(pair: DriverPair, looking: FakeSlurm, acting: FakeSlurm) -> None:
    acting.away = "Unable to contact slurm controller"
    with pytest.raises(SlurmUnavailable, match="contact"):
        pair.submit(make_request(Path("/tmp")))
    acting.away = ""
    pair.submit(make_request(Path("/tmp")))
    assert (looking.calls, acting.calls) == ([], ["submit", "submit"])
