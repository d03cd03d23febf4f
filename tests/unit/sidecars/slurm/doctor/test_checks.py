"""The doctor's checks: what is missing is said with what to do, and nothing that a check meets ends the doctor."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlink.config import Config
from interlink.config.entries import NamespaceConfig
from interlink.core.job.states import JobPhase
from interlink.sidecars.slurm.doctor import compute, drivers, places
from interlink.sidecars.slurm.doctor.check import Check, Finding, Site, Verdict, run_checks
from interlink.sidecars.slurm.drivers.choice import site_hosts
from interlink.sidecars.slurm.fake import FakeSlurm
from tests.unit.sidecars.slurm.driver_contract import wait_for_job


@pytest.fixture
def config(tmp_path: Path) -> Config:
    for name in ("data", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    return Config(
        slurm_driver="cli", data_root_folder=tmp_path / "data", state_folder=tmp_path / "state",
        sbatch_path="no-sbatch",
        squeue_path="true", sacct_path="true", scancel_path="true", sinfo_path="true",
    )  # fmt: skip


@pytest.fixture
def site(config: Config) -> Iterator[Site]:
    hosts = site_hosts(config)
    yield Site(config, hosts, FakeSlurm())
    hosts.close()


def test_a_missing_command_is_named_with_its_key(site: Site) -> None:
    finding = drivers.LocalCommands().look(site)
    assert (finding.verdict, finding.said) == (Verdict.BAD, "no no-sbatch")
    assert "set No-sbatchPath" in finding.todo


def test_pyslurm_does_not_fit_a_site_of_several_users(site: Site, config: Config) -> None:
    config.namespaces["physics"] = NamespaceConfig(user="alice")
    finding = drivers.Pyslurm().look(site)
    assert (finding.verdict, finding.todo) == (Verdict.BAD, "cli and ssh become those users")
    assert "Namespaces.physics.User: alice" in finding.said


def test_the_controllers_answer_is_summed_up(site: Site) -> None:
    finding = drivers.Controller().look(site)
    assert finding.verdict is Verdict.GOOD
    assert "2 nodes, 32 cores, 64 GiB in the default partition; 0 jobs of ours" in finding.said


def test_what_a_driver_raises_becomes_a_finding(site: Site) -> None:
    assert isinstance(site.driver, FakeSlurm)
    site.driver.away = "Unable to contact slurm controller"
    (result,) = run_checks([drivers.Controller()], site)
    assert (result.finding.verdict, result.finding.said) == (Verdict.BAD, "Unable to contact slurm controller")
    assert result.stops_pods


def test_folders_are_tried(site: Site, tmp_path: Path) -> None:
    assert places.SharedFolder().look(site).verdict is Verdict.GOOD
    assert list((tmp_path / "data").iterdir()) == []
    (tmp_path / "data").chmod(0o755)
    assert places.SharedFolder().look(site).todo.startswith("chmod 700")
    assert places.StateFolder().look(site).verdict is Verdict.GOOD
    (tmp_path / "data").rmdir()
    (tmp_path / "state").rmdir()
    assert "is not there" in places.SharedFolder().look(site).said
    assert "is not there" in places.StateFolder().look(site).said


def test_a_login_node_that_does_not_know_us_comes_with_what_to_do(tmp_path: Path) -> None:
    config = Config(
        slurm_driver="ssh", ssh_host="127.0.0.1", ssh_port=1, state_folder=tmp_path, data_root_folder=tmp_path
    )
    hosts = site_hosts(config)
    finding = drivers.LoginNode().look(Site(config, hosts, FakeSlurm()))
    hosts.close()
    assert finding.verdict is Verdict.BAD
    assert "refused" in finding.said
    assert "SshPort" in finding.todo


@pytest.mark.parametrize(
    ("changes", "verdict", "todo"),
    [
        ({}, Verdict.GOOD, ""),
        ({"apptainer": "missing: No such file"}, Verdict.BAD, "SingularityPath"),
        ({"userns": False}, Verdict.FAIR, "user namespaces"),
        ({"squashfuse": False}, Verdict.FAIR, "install squashfuse"),
    ],
)
def test_a_compute_node_is_judged_by_what_the_job_saw(changes: dict[str, object], verdict: Verdict, todo: str) -> None:
    seen = {"host": "c1", "python": "3.9.2", "apptainer": "apptainer version 1.4.5", "userns": True, "fuse": True}
    finding = compute.judge("a banner\n" + json.dumps({**seen, "squashfuse": True, **changes}))
    assert finding.verdict is verdict
    assert todo in finding.todo


def test_a_job_that_saw_no_shared_folder_says_so() -> None:
    assert "DataRootFolder" in compute.judge("look.py: No such file or directory").todo


def test_the_tiny_job_is_submitted_and_ended_whatever_happens(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_WAIT_SECONDS", 0.0)
    assert isinstance(site.driver, FakeSlurm)
    finding = compute.ComputeNode().look(site)
    assert (finding.verdict, "did not end" in finding.said) == (Verdict.FAIR, True)
    (job_id,) = site.driver.requests
    wait_for_job(site.driver, job_id, lambda job: job.phase is JobPhase.ENDED)
    assert list(site.config.data_root_folder.iterdir()) == []


def test_a_check_that_does_not_apply_is_not_run(site: Site) -> None:
    class Never(Check):
        def applies(self, site: Site) -> bool:
            return False

        def look(self, site: Site) -> Finding:
            raise AssertionError

    assert list(run_checks([Never(), compute.ComputeNode(), places.BecomeUser(), drivers.LoginNode()], site)) == []
