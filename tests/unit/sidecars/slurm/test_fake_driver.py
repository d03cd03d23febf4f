"""The fake site keeps to the drivers' contract, and its switches do what they say."""

from pathlib import Path

import pytest

from interlink.sidecars.slurm.driver import SlurmDriver, SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.fake import FakeSlurm
from tests.unit.sidecars.slurm.driver_contract import DriverContract, make_request


class TestFakeSlurm(DriverContract):
    """The contract, on the fake."""

    @pytest.fixture
    def driver(self) -> FakeSlurm:
        return FakeSlurm()

    def make_running(self, driver: SlurmDriver, job_id: int) -> None:
        assert isinstance(driver, FakeSlurm)
        driver.move(job_id, "RUNNING")

    def after_term(self, driver: SlurmDriver, job_id: int) -> None:
        assert isinstance(driver, FakeSlurm)
        driver.move(job_id, "COMPLETED")


def test_switches(tmp_path: Path) -> None:
    driver = FakeSlurm()
    driver.refuse = "no"
    with pytest.raises(SlurmRefused, match="no"):
        driver.submit(make_request(tmp_path))
    driver.refuse, driver.lose_reply = "", True
    with pytest.raises(SlurmUnavailable):
        driver.submit(make_request(tmp_path))
    assert len(driver.living()) == 1
    driver.away = "gone"
    with pytest.raises(SlurmUnavailable, match="gone"):
        driver.jobs()
