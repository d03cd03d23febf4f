"""The drivers' contract on a real Slurm by way of pyslurm; not collected, because it wants a site.

On a host with pyslurm and a Slurm that starts small jobs, as an ordinary user:
``python -m pytest --import-mode=importlib -p no:cacheprovider tests/unit/sidecars/slurm/live_pyslurm.py``
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlink.sidecars.slurm.driver import SlurmDriver
from interlink.sidecars.slurm.drivers.pyslurm_process import PyslurmDriver
from tests.unit.sidecars.slurm.driver_contract import DriverContract, make_request, wait_for_job


class TestPyslurm(DriverContract):
    """The contract, on a real site."""

    @pytest.fixture
    def driver(self) -> Iterator[PyslurmDriver]:
        driver = PyslurmDriver(15)
        yield driver
        driver.close()

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        """A folder that compute nodes share: below the user's home."""
        with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
            yield Path(folder)

    def test_a_job_gets_the_environment_that_was_asked_for_and_nothing_of_ours(
        self, driver: SlurmDriver, folder: Path
    ) -> None:
        os.environ["A_SECRET_OF_OURS"] = "x"
        script = "#!/bin/sh\nenv\npwd\nulimit -c\n"
        job_id = driver.submit(
            make_request(
                folder, script=script, environment={"PATH": "/usr/bin:/bin", "SLURM_CONF": "/no", "A": "b=c,d"}
            )
        )
        wait_for_job(driver, job_id, lambda job: job.state == "COMPLETED")
        deadline = time.monotonic() + 10
        while str(folder) not in (text := (folder / "batch.log").read_text()):
            assert time.monotonic() < deadline, text
            time.sleep(0.1)
        names = {line.split("=", 1)[0] for line in text.splitlines() if "=" in line}
        assert "A=b=c,d" in text
        assert not [name for name in names if "SECRET" in name or "PYSLURM" in name or "PYTEST" in name]
        assert "SLURM_CONF=/no" not in text
        print(sorted(name for name in names if not name.startswith("SLURM")))

    def test_a_script_that_fails_and_one_that_takes_too_long(self, driver: SlurmDriver, folder: Path) -> None:
        failing = driver.submit(make_request(folder, script="#!/bin/sh\nexit 137\n"))
        assert wait_for_job(driver, failing, lambda job: job.end_time is not None).state == "FAILED"
