"""The Slurm drivers' contract on the real site: pyslurm in its child process, on the edge host, as the services' user.

The parent of the driver runs here and its child there; what is between them is the same two pipes.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from interlink.sidecars.slurm.driver import SlurmUnavailable
from interlink.sidecars.slurm.drivers.pyslurm_process import PyslurmDriver
from tests.testbed.bed import Bed
from tests.testbed.docker import CLIENT
from tests.unit.sidecars.slurm.driver_contract import DriverContract, make_request, wait_for_job

CHILD = "/opt/interlink/venv/bin/python -m interlink.sidecars.slurm.drivers.pyslurm_child"


def child_command(bed: Bed) -> tuple[str, ...]:
    """Return the command that runs the driver's child on the edge host, with its pipes here.

    The child ends when its parent is gone. What `docker exec` starts has no parent there, and ours is of another host:
    a shell stands in, and tells its own number.
    """
    script = f"setpriv --reuid=interlink --regid=interlink --init-groups {CHILD} $$; exit $?"
    return ("/usr/bin/env", f"DOCKER_HOST={bed.docker.host}", CLIENT, "exec", "--interactive", "interlink-edge",
            "sh", "-c", script)  # fmt: skip


@pytest.fixture
def driver(bed: Bed) -> Iterator[PyslurmDriver]:
    driver = PyslurmDriver(15, child_command(bed))
    yield driver
    driver.close()


@pytest.fixture
def folder(bed: Bed) -> Iterator[Path]:
    """A folder of the site that compute nodes share."""
    path = bed.site(["mktemp", "--directory", "--tmpdir=/srv/interlink"], user="interlink").strip()
    yield Path(path)
    bed.site(["rm", "--recursive", path])


class TestPyslurm(DriverContract):
    """The contract, on real Slurm."""

    def test_a_job_gets_the_environment_that_was_asked_for_and_nothing_of_ours(
        self, bed: Bed, driver: PyslurmDriver, folder: Path
    ) -> None:
        environment = {"PATH": "/usr/bin:/bin", "A": "b=c,d"}
        request = make_request(folder, script="#!/bin/sh\nenv\n", environment=environment)
        job = driver.submit(request)
        wait_for_job(driver, job, lambda seen: seen.state == "COMPLETED")
        lines = bed.site(["cat", request.output]).splitlines()
        assert "A=b=c,d" in lines
        assert not [line for line in lines if line.startswith(("PYSLURM", "DOCKER", "INTERLINK"))]

    def test_a_failing_script_is_a_failed_job(self, driver: PyslurmDriver, folder: Path) -> None:
        job = driver.submit(make_request(folder, script="#!/bin/sh\nexit 3\n"))
        assert wait_for_job(driver, job, lambda seen: seen.end_time is not None).state == "FAILED"


def test_a_controller_that_hangs_costs_one_deadline_and_no_more(bed: Bed) -> None:
    driver = PyslurmDriver(2, child_command(bed))
    try:
        driver.jobs()
        bed.site(["pkill", "--signal", "STOP", "--exact", "slurmctld"])
        try:
            with pytest.raises(SlurmUnavailable):
                driver.jobs()
        finally:
            bed.site(["pkill", "--signal", "CONT", "--exact", "slurmctld"])
        assert driver.jobs() is not None
    finally:
        driver.close()
