"""The Slurm drivers' contract on the real site: pyslurm, Slurm's commands, and these over ssh to a login node.

The drivers run here and what they drive there, as the services' user: pyslurm's child and the commands' agent on the
edge host behind `docker exec`, and for ssh the whole way from the edge host to its neighbour, which is the login node.
"""

import contextlib
import json
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from interlink.core.job.pending import Wait, pending
from interlink.core.job.states import JobPhase
from interlink.sidecars.slurm.driver import SlurmDriver, SlurmFull, SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli.driver import CliDriver
from interlink.sidecars.slurm.drivers.pyslurm_process import PyslurmDriver
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.transport.host import Host
from interlink.sidecars.slurm.transport.remote import RemoteHost, agent_words
from interlink.sidecars.slurm.transport.ssh import SshConnection, SshTarget
from tests.e2e.site import frozen, qos, run_as, setting, ssh_access
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.docker import CLIENT
from tests.testbed.site import SHARED
from tests.unit.sidecars.slurm.driver_contract import DriverContract, make_request, wait_for_job

CHILD = "/opt/interlink/venv/bin/python -m interlink.sidecars.slurm.drivers.pyslurm_child"
USER = "interlink"
#: Two QOS with the same limits, and the most cores that a job of theirs may have.
DENIES, LETS_WAIT, MOST_CPUS = "e2e-denies", "e2e-lets-wait", 2


def on_edge(bed: Bed, *words: str, user: str = USER) -> tuple[str, ...]:
    """Return the command that runs words on the edge host as a user with a secret, with its pipes here."""
    ids = (f"--reuid={user}", f"--regid={user}", "--init-groups")
    return ("/usr/bin/env", f"DOCKER_HOST={bed.docker.host}", CLIENT, "exec", "--interactive", "--env=OF_OURS=s3cret",
            "interlink-edge", "setpriv", *ids, *words)  # fmt: skip


def child_command(bed: Bed) -> tuple[str, ...]:
    """Return the command that runs pyslurm's child on the edge host.

    The child ends when its parent is gone. What `docker exec` starts has no parent there, and ours is of another host:
    a shell stands in, and tells its own number.
    """
    return on_edge(bed, "sh", "-c", f"{CHILD} $$; exit $?")


def edge_host(bed: Bed, user: str = USER) -> RemoteHost:
    """Return the edge host as a user."""
    return RemoteHost(f"{user}@edge", lambda: on_edge(bed, *agent_words("/usr/bin/python3"), user=user))


class LoginNode(SshConnection):
    """The neighbour as login node: ssh runs on the edge host, and so does what is said of its files."""

    def __init__(self, bed: Bed, target: SshTarget) -> None:
        super().__init__(target)
        self._bed = bed
        edge_host(bed).make_folder(self._folder)

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs the words there."""
        return list(on_edge(self._bed, *super().command(words)))

    def close(self) -> None:
        """End the connection, and leave nothing of it on either host."""
        exit_it = shlex.join(
            [*self._target.words(self._user), "-o", f"ControlPath={self._socket()}", "-O", "exit", "c1"]
        )
        run_as(self._bed, USER, ["sh", "-c", f"{exit_it} || true; rm -r {self._folder}"])
        self._folder.rmdir()


@contextmanager
def shared_folder(bed: Bed, owner: str) -> Iterator[Path]:
    """Yield a folder of the site that compute nodes share, of a user's who gets there."""
    before = bed.site(["stat", "--format=%a", SHARED]).strip()
    bed.site(["chmod", "711", SHARED])
    path = bed.site(["mktemp", "--directory", f"--tmpdir={SHARED}"]).strip()
    bed.site(["chown", f"{owner}:", path])
    try:
        yield Path(path)
    finally:
        bed.site(["rm", "--recursive", path])
        bed.site(["chmod", before, SHARED])


@pytest.fixture
def site_folder(bed: Bed) -> Iterator[Path]:
    with shared_folder(bed, USER) as folder:
        yield folder


@pytest.fixture(scope="module")
def edge(bed: Bed) -> Iterator[Host]:
    """The edge host, for Slurm's commands."""
    host = edge_host(bed)
    yield host
    host.close()


@pytest.fixture(scope="module")
def login(bed: Bed) -> Iterator[Host]:
    """The login node, by ssh from the edge host."""
    with ssh_access(bed, owner=USER, to_host="c1", to_user="user") as access:
        target = SshTarget(host="c1", user="user", key_file=Path(access.key), known_hosts=Path(access.known_hosts))
        connection = LoginNode(bed, target)
        host = RemoteHost("user@c1", lambda: connection.command(agent_words("/usr/bin/python3")))
        yield host
        host.close()
        connection.close()


@pytest.fixture(scope="module")
def limits(bed: Bed) -> Iterator[None]:
    """Slurm keeps to the limits of two QOS; one of them denies at once what breaks its own."""
    own = [f"MaxTRESPerJob=cpu={MOST_CPUS}", f"MaxTRESPerUser=cpu={MOST_CPUS + 1}", "MaxSubmitJobsPerUser=2"]
    with (
        setting(bed, "AccountingStorageEnforce", "limits"),
        qos(bed, DENIES, "Flags=DenyOnLimit", *own),
        qos(bed, LETS_WAIT, *own),
    ):
        yield


class RealContract(DriverContract):
    """The contract, and what only a real Slurm shows."""

    options = MappingProxyType({"nice": "100"})

    @pytest.fixture
    def folder(self, site_folder: Path) -> Path:
        """A folder that the compute nodes share."""
        return site_folder

    @pytest.fixture(autouse=True)
    def _on_the_bed(self, bed: Bed) -> None:
        self.bed = bed

    def wait_ready(self, folder: Path) -> None:
        """Wait for the script's first word."""
        look = ["sh", "-c", f"cat {shlex.quote(str(folder / 'batch.log'))} 2>/dev/null || true"]
        wait_for("the script's first word", lambda: "ready" in self.bed.site(look), within=20)

    def output(self, bed: Bed, path: str) -> list[str]:
        """Return the lines of a job's output, once they are there."""
        wait_for("the job's output", lambda: bed.site(["sh", "-c", f"cat {shlex.quote(path)} || true"]))
        return bed.site(["cat", path]).splitlines()

    def test_a_job_gets_what_was_asked_for_and_nothing_of_ours(
        self, bed: Bed, driver: SlurmDriver, folder: Path
    ) -> None:
        environment = {"PATH": "/usr/bin:/bin", "A": "b=c,d 'e' \"$f\""}
        script = "#!/bin/sh\n#SBATCH --comment=mine\n#SBATCH --output=/dev/null\nenv\nexit 3\n"
        request = make_request(folder, script=script, environment=environment)
        job_id = driver.submit(request)
        job = wait_for_job(driver, job_id, lambda seen: seen.end_time is not None)
        assert (job.state, job.uid) == ("FAILED", request.comment)
        assert job.exit_code in (3, None)
        lines = self.output(bed, request.output)
        assert "A=b=c,d 'e' \"$f\"" in lines
        assert not [line for line in lines if "s3cret" in line or line.startswith(("PYSLURM", "DOCKER", "SBATCH"))]
        # It has a record since the job's start: what is looked at is that of its end.
        past = wait_for(
            "accounting to have the job's end", lambda: driver.history([job_id]).get(job_id),
            lambda seen: seen is not None and seen.end_time is not None,
        )  # fmt: skip
        assert past is not None
        assert (past.state, past.uid, past.start_time, past.exit_code in (3, None)) == (
            "FAILED", request.comment, job.start_time, True,
        )  # fmt: skip

    def test_what_slurm_is_told_can_be_read_back(self, bed: Bed, driver: SlurmDriver, folder: Path) -> None:
        # It begins later: a job that has its nodes shows NumNodes=2 where a waiting one shows 2-2.
        request = make_request(
            folder, partition="main", qos="urgent", nodes=2, tasks=4, cpus=2, tmp_mib=100, signal="B:USR1@120",
            requeue=True, gres=("gpu:1",), options=dict(self.options) | {"begin": "now+100seconds"},
        )  # fmt: skip
        job_id = driver.submit(request)
        try:
            shown = bed.site(["scontrol", "show", "job", str(job_id)])
            facts = dict(re.findall(r"(\S+?)=(\S*)", shown))
            assert {key: facts.get(key) for key in ("Partition", "QOS", "CPUs/Task", "Requeue", "TimeLimit")} == {
                "Partition": "main", "QOS": "urgent", "CPUs/Task": "2", "Requeue": "1", "TimeLimit": "00:05:00",
            }  # fmt: skip
            assert (facts["MinMemoryNode"], facts["MinTmpDiskNode"]) == ("64M", "100M")
            assert (facts["NumNodes"], facts["NumTasks"], facts["Comment"]) == ("2-2", "4", request.comment)
            assert "gres/gpu" in shown or "gres:gpu" in shown
            assert (facts["StdOut"], facts["StdErr"], facts["StdIn"]) == (request.output, request.output, "/dev/null")
            assert (facts["WorkDir"], facts.get("Nice", "0")) == (str(folder), self.options["nice"])
        finally:
            driver.cancel(job_id)

    def test_a_pending_job_says_why_and_when(self, driver: SlurmDriver, folder: Path) -> None:
        job_id = driver.submit(make_request(folder, options={"begin": "now+100seconds"}))
        try:
            job = wait_for_job(driver, job_id, lambda seen: seen.reason == "BeginTime")
            assert (job.phase, job.start_time) == (JobPhase.PENDING, None)
            assert job.expected_start is not None
            assert 60 < job.expected_start - time.time() < 200
        finally:
            driver.cancel(job_id)

    @pytest.mark.usefixtures("limits")
    def test_a_job_that_breaks_a_limit_by_itself_is_refused_by_the_limits_name(
        self, driver: SlurmDriver, folder: Path
    ) -> None:
        request = make_request(folder, qos=DENIES, cpus=MOST_CPUS + 1)
        with pytest.raises(SlurmRefused, match=r"Job violates .*QOSMaxCpuPerJobLimit"):
            driver.submit(request)
        assert request.comment not in {job.uid for job in driver.jobs().values() if job.phase is not JobPhase.ENDED}

    @pytest.mark.usefixtures("limits")
    def test_a_job_that_a_limit_holds_up_for_now_is_taken_later(self, driver: SlurmDriver, folder: Path) -> None:
        jobs = [driver.submit(make_request(folder, qos=DENIES, cpus=MOST_CPUS)) for _ in range(2)]
        try:
            waits = wait_for_job(driver, jobs[1], lambda seen: seen.reason not in ("", "None", "Priority"))
            assert waits.reason == "QOSMaxCpuPerUserLimit"  # the flag denies only what the job alone breaks
            with pytest.raises(SlurmFull, match=r"Job violates .*QOSMaxSubmitJobPerUserLimit"):
                driver.submit(make_request(folder, qos=DENIES))
            driver.cancel(jobs.pop())
            jobs.append(wait_for("a place in the queue", lambda: self.submitted(driver, folder)))
        finally:
            for job_id in jobs:
                driver.cancel(job_id)

    @pytest.mark.usefixtures("limits")
    def test_without_the_flag_a_job_that_breaks_a_limit_waits_and_says_so(
        self, driver: SlurmDriver, folder: Path
    ) -> None:
        job_id = driver.submit(make_request(folder, qos=LETS_WAIT, cpus=MOST_CPUS + 1))
        try:
            job = wait_for_job(driver, job_id, lambda seen: seen.reason not in ("", "None", "Priority"))
            assert (job.phase, pending(job.reason).wait) == (JobPhase.PENDING, Wait.BLOCKED)
        finally:
            driver.cancel(job_id)

    @staticmethod
    def submitted(driver: SlurmDriver, folder: Path) -> int:
        """Return the id of a job that the queue had a place for, 0 where it had none."""
        try:
            return driver.submit(make_request(folder, qos=DENIES))
        except SlurmFull:
            return 0


class TestPyslurm(RealContract):
    """pyslurm in its child process."""

    @pytest.fixture
    def driver(self, bed: Bed) -> Iterator[SlurmDriver]:
        driver = PyslurmDriver(15, child_command(bed))
        yield driver
        driver.close()


class TestCli(RealContract):
    """Slurm's commands."""

    @pytest.fixture
    def driver(self, edge: Host) -> SlurmDriver:
        return CliDriver(lambda _: edge)

    def test_a_flag_is_said_and_a_wrong_one_refused_in_sbatchs_words(self, driver: SlurmDriver, folder: Path) -> None:
        with pytest.raises(SlurmRefused, match="no-such-flag"):
            driver.submit(make_request(folder, options={"no-such-flag": "1"}))


class TestSsh(RealContract):
    """Slurm's commands on a login node, and the job folders over the same connection."""

    @pytest.fixture
    def folder(self, bed: Bed) -> Iterator[Path]:
        with shared_folder(bed, "user") as folder:
            yield folder

    @pytest.fixture
    def driver(self, login: Host) -> SlurmDriver:
        return CliDriver(lambda _: login)

    def test_job_folders_are_reached_over_the_same_connection(self, bed: Bed, login: Host, folder: Path) -> None:
        folders = JobFolders(folder / "root", login)
        folders.prepare()
        uid = "0a0b0c0d-0000-4000-8000-000000000001"
        folders.write_job(uid, b"plan\0")
        assert folders.read(uid, "plan.json") == b"plan\0"
        assert list(folders.uids()) == [uid]
        modes = bed.site(["stat", "--format=%a %U", str(folders.job(uid)), str(folders.plan(uid))]).split("\n")[:2]
        assert modes == ["700 user", "600 user"]
        folders.remove_job(uid)
        assert list(folders.uids()) == []


def test_a_login_node_with_another_key_than_the_known_one_is_not_believed(bed: Bed) -> None:
    with ssh_access(bed, owner=USER, to_host="c1", to_user="user") as access:
        bed.site(["sed", "--in-place", "s/^c1[^ ]*/elsewhere/", access.known_hosts])
        target = SshTarget(host="c1", user="user", key_file=Path(access.key), known_hosts=Path(access.known_hosts))
        connection = LoginNode(bed, target)
        host = RemoteHost("user@c1", lambda: connection.command(agent_words("/usr/bin/python3")))
        with pytest.raises(SlurmUnavailable, match="Host key verification failed"):
            CliDriver(lambda _: host).jobs()
        host.close()
        connection.close()


def test_a_controller_that_hangs_costs_one_deadline_and_no_more(bed: Bed) -> None:
    host = edge_host(bed)
    drivers: tuple[SlurmDriver, ...] = (
        PyslurmDriver(2, child_command(bed)),
        CliDriver(lambda _: host, call_timeout=2),
    )
    try:
        for driver in drivers:
            driver.jobs()
        with frozen(bed, "slurmctld"):
            for driver in drivers:
                with pytest.raises(SlurmUnavailable):
                    driver.jobs()
        for driver in drivers:
            assert driver.jobs() is not None
    finally:
        for driver in drivers:
            driver.close()
        host.close()


def test_a_job_and_its_files_belong_to_the_user_who_was_asked_for(bed: Bed, site_folder: Path) -> None:
    """Sudo on the edge host, by the line that docs/identity.md gives, for this user and this test alone."""
    rule = f"{USER} ALL=(user) NOPASSWD: /usr/bin/python3 -I -c *"
    bed.site(["sh", "-c", f"umask 227; printf '%s\\n' {shlex.quote(rule)} > /etc/sudoers.d/e2e-identity"])
    own = edge_host(bed)
    sudo = ("sudo", "-n", "-u", "user", "--", *agent_words("/usr/bin/python3"))
    other = RemoteHost("user", lambda: on_edge(bed, *sudo))
    driver = CliDriver(lambda user: other if user else own, users=lambda: {"user"})
    try:
        uid = "0a0b0c0d-0000-4000-8000-000000000002"
        folders = JobFolders(site_folder / "root", own, host_of=lambda _: other, owner=lambda _: "user")
        folders.prepare()
        bed.site(["chmod", "711", str(site_folder)])
        folders.write_job(uid, b"plan")
        request = make_request(folders.job(uid), comment=uid, script="#!/bin/sh\nid -un\ncat plan.json\n", user="user")
        job_id = driver.submit(request)
        wait_for_job(driver, job_id, lambda job: job.phase is JobPhase.ENDED)
        wait_for("the job's output", lambda: folders.read(uid, "batch.log"))
        assert folders.read(uid, "batch.log") == b"user\nplan"
        owners = bed.site(["stat", "--format=%U %a", str(folders.job(uid)), str(folders.plan(uid))]).split("\n")[:2]
        assert owners == ["user 700", "user 600"]
        long = driver.submit(make_request(folders.job(uid), user="user"))
        driver.cancel(long)
        assert wait_for_job(driver, long, lambda job: job.phase is JobPhase.ENDED).state == "CANCELLED"
        pyslurm = PyslurmDriver(15, child_command(bed))
        with contextlib.closing(pyslurm), pytest.raises(SlurmRefused, match="its own user only"):
            pyslurm.submit(make_request(site_folder, user="user"))
    finally:
        bed.site(["rm", "--force", "/etc/sudoers.d/e2e-identity"])
        own.close()
        other.close()


def test_the_doctor_says_that_the_site_fits_and_what_a_compute_node_has(bed: Bed) -> None:
    answer = json.loads(run_as(bed, USER, ["/opt/interlink/venv/bin/interlink", "doctor", "--submit", "-o", "json"]))
    assert (answer["good"], answer["drivers"]["pyslurm"], answer["drivers"]["cli"]) == (True, "", "")
    found = {check["name"]: check for check in answer["checks"]}
    assert found["compute node"]["verdict"] == "good", found
    assert "apptainer version" in found["compute node"]["said"]
    assert found["accounting"]["verdict"] == "good"
