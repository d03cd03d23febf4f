"""The CLI driver: what it runs as whom, with what in argv, environment and stdin; silence; one call for all."""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.sidecars.slurm.driver import JobRequest, SlurmFull, SlurmRefused, SlurmTimedOut, SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli.driver import CliDriver, Programs
from interlink.sidecars.slurm.drivers.cli.sbatch import Sbatch
from interlink.sidecars.slurm.transport.host import Finished, Host, HostTimedOut, HostUnavailable
from tests.unit.sidecars.slurm.driver_contract import make_request

SQUEUE_LINE = "{job}|{user}|RUNNING|None|1700000000|1700000001|1700003601|1:00:00|0|0:0|c1|{uid}|\n"


class StubHost(Host):
    """A host that notes what it is asked to run, and answers as it was told."""

    def __init__(self, answers: Mapping[str, Finished | OSError]) -> None:
        self.answers = dict(answers)
        self.calls: list[dict[str, Any]] = []

    def run(self, argv: Sequence[str], **how: Any) -> Finished:
        self.calls.append({"argv": list(argv), **how})
        answer = self.answers[argv[0]]
        if isinstance(answer, OSError):
            raise answer
        return answer


def done(output: str = "", errors: str = "", status: int | None = 0) -> Finished:
    return Finished(status, output, errors)


def driver_on(**answers: Finished | OSError) -> tuple[CliDriver, StubHost]:
    host = StubHost({"id": done("964\n"), **answers})
    return CliDriver(lambda _: host), host


def test_a_job_gets_its_environment_and_no_value_of_it_stands_in_an_argv() -> None:
    driver, host = driver_on(sbatch=done("12\n"))
    environment = {"PATH": "/bin", "TOKEN": "s3cret", "SLURM_CONF": "/evil", "SBATCH_QOS": "high"}
    request = make_request(Path("/jobs/x"), environment=environment, script="#!/bin/sh\n#SBATCH --qos=high\nexit\n")
    assert driver.submit(request) == 12
    (call,) = host.calls
    assert call["environment"] == {"PATH": "/bin", "TOKEN": "s3cret"}
    assert call["keep"] == ("SLURM_CONF",)
    assert not [word for word in call["argv"] if "s3cret" in word or "exit" in word]
    assert "--export=ALL" in call["argv"]
    assert call["stdin"] == "#!/bin/sh\n:\n#SBATCH --qos=high\nexit\n"


def test_every_field_of_a_request_is_said() -> None:
    request = make_request(
        Path("/jobs/100%"), name="ns-pod", comment="uid", cpus=4, memory_mib=512, time_limit_minutes=90, partition="p",
        account="a", qos="q", reservation="r", constraint="big&fast", nodes=2, tasks=3, gres=("gpu:a100:1", "nvme:1"),
        tmp_mib=10, signal="B:TERM@60", requeue=True, options={"exclusive": "", "nodelist": "c1"},
    )  # fmt: skip
    assert Sbatch("/opt/sbatch", request).argv() == [
        "/opt/sbatch", "--parsable", "--job-name=ns-pod", "--comment=uid", "--chdir=/jobs/100%",
        "--output=/jobs/100%%/batch.log", "--error=/jobs/100%%/batch.log", "--input=/dev/null", "--open-mode=append",
        "--export=ALL", "--nodes=2", "--ntasks=3", "--cpus-per-task=4", "--mem=512M", "--requeue", "--time=90",
        "--partition=p", "--account=a", "--qos=q", "--reservation=r", "--constraint=big&fast",
        "--gres=gpu:a100:1,nvme:1", "--tmp=10M", "--signal=B:TERM@60", "--exclusive", "--nodelist=c1",
    ]  # fmt: skip
    assert "--no-requeue" in Sbatch("sbatch", make_request(Path("/x"))).argv()


@pytest.mark.parametrize("name", ["wrap", "export", "uid", "output", "-x", "Upper", "a=b", "a b", "", "get-user-env"])
def test_an_option_that_would_change_whose_job_it_is_or_what_it_runs_is_refused_by_name(name: str) -> None:
    driver, host = driver_on()
    with pytest.raises(SlurmRefused, match="option --"):
        driver.submit(make_request(Path("/x"), options={name: "v"}))
    assert host.calls == []


@given(st.text(), st.text(), st.text(), st.text())
def test_no_text_of_a_pod_becomes_an_option_of_its_own(name: str, comment: str, qos: str, nice: str) -> None:
    values = {"name": name, "comment": comment, "qos": qos, "options": {"nice": nice}}
    try:
        argv = Sbatch("sbatch", make_request(Path("/x"), **values)).argv()
    except SlurmRefused:
        assert "\0" in name + comment + qos + nice
        return
    plain = Sbatch("sbatch", make_request(Path("/x"), name="n", comment="c", qos="q", options={"nice": "1"})).argv()
    assert [word.partition("=")[0] for word in argv if not word.startswith("--qos")] == [
        word.partition("=")[0] for word in plain if not word.startswith("--qos")
    ]


@given(st.text())
def test_an_option_with_an_odd_name_is_refused(name: str) -> None:
    try:
        argv = Sbatch("sbatch", make_request(Path("/x"), options={name: "v"})).argv()
    except SlurmRefused:
        return
    assert argv[-1] == f"--{name}=v"
    assert name.replace("-", "").isalnum()
    assert name[0] not in "-="


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (done("", "sbatch: warning: odd\n"), SlurmUnavailable, "warning"),
        (done("Submitted batch job 12\n"), SlurmUnavailable, "Submitted"),
        (done("12\n", "", 1), SlurmUnavailable, "12"),
        (done("", "", None), SlurmTimedOut, "sbatch gave no answer within 15 s"),
        (done("", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", 1),
         SlurmTimedOut, "Socket timed out"),
        (done("", "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, "
              "user's size and/or time limits)", 1), SlurmFull, "violates accounting"),
        (done("", "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job "
              "violates accounting/QOS policy (job submit limit, user's size and/or time limits)", 1), SlurmFull,
         r"^Job violates .* \(QOSMaxSubmitJobPerUserLimit\)$"),
        (done("", "sbatch: error: QOSMaxCpuPerJobLimit\nsbatch: error: Batch job submission failed: Job violates "
              "accounting/QOS policy (job submit limit, user's size and/or time limits)", 1), SlurmRefused,
         r"^Job violates .* \(QOSMaxCpuPerJobLimit\)$"),
        (done("", "sbatch: error: Batch job submission failed: Unexpected words", 1), SlurmUnavailable, "Unexpected"),
        (FileNotFoundError(2, "No such file or directory", "sbatch"), SlurmUnavailable, "set SbatchPath"),
        (HostTimedOut("login: no answer within 20 s"), SlurmTimedOut, "login: no answer"),
        (HostUnavailable("login: Host key verification failed."), SlurmUnavailable, "Host key"),
    ],
)  # fmt: skip
def test_only_a_clear_yes_is_a_job_and_only_a_clear_no_a_refusal(
    answer: Finished | OSError, error: type[Exception], words: str
) -> None:
    driver, _ = driver_on(sbatch=answer)
    with pytest.raises(error, match=words) as raised:
        driver.submit(make_request(Path("/x")))
    assert type(raised.value) is error


def test_warnings_and_a_cluster_name_beside_the_id_do_not_matter() -> None:
    driver, _ = driver_on(sbatch=done("site says hello\n12;cluster\n", "sbatch: error: lua: only a warning\n"))
    assert driver.submit(make_request(Path("/x"))) == 12


class Users(StubHost):
    """The stub of one user, on a host that knows alice."""

    def run(self, argv: Sequence[str], **how: Any) -> Finished:
        super().run(argv, **how)
        return done("1501\n" if "alice" in argv else "964\n") if argv[0] == "id" else self.answers[argv[0]]  # type: ignore[return-value]


def users_driver(private: str) -> tuple[CliDriver, dict[str, Users]]:
    lines = "".join(SQUEUE_LINE.format(job=job, user=user, uid=job) for job, user in ((1, 964), (2, 1501), (3, 0)))
    config = done(f"Configuration data\nPrivateData             = {private}\n")
    hosts = {user: Users({"squeue": done(lines), "scancel": done(), "scontrol": config}) for user in ("", "alice")}
    for host in hosts.values():
        host.answers["id"] = done()
    return CliDriver(hosts.__getitem__, users=lambda: {"alice"}), hosts


def ran(host: StubHost, program: str) -> list[list[str]]:
    return [call["argv"] for call in host.calls if call["argv"][0] == program]


def test_one_squeue_shows_the_jobs_of_all_our_users_and_of_nobody_else() -> None:
    driver, hosts = users_driver("none")
    assert set(driver.jobs()) == {1, 2}
    assert set(driver.jobs()) == {1, 2}
    looks = ran(hosts[""], "squeue")
    assert len(looks) == 2
    assert "--user=964,1501" in looks[0]
    assert len(ran(hosts[""], "scontrol")) == 1
    driver.signal(2, "TERM")
    driver.cancel(1)
    assert ran(hosts["alice"], "scancel") == [["scancel", "--signal=TERM", "--batch", "2"]]
    assert ran(hosts[""], "scancel") == [["scancel", "1"]]


def test_where_jobs_are_private_each_user_is_asked_as_themselves() -> None:
    driver, hosts = users_driver("accounts,jobs")
    assert set(driver.jobs()) == {1, 2}
    assert "--user=964" in ran(hosts[""], "squeue")[0]
    assert "--user=1501" in ran(hosts["alice"], "squeue")[0]


def test_an_answer_with_an_error_in_it_is_not_the_whole_of_it() -> None:
    driver, _ = driver_on(squeue=done("", "squeue: error: Invalid user: nobody\n"))
    with pytest.raises(SlurmUnavailable, match="Invalid user"):
        driver.jobs()


@pytest.mark.parametrize(
    ("look", "delivered"),
    [
        (done("9|964|PENDING|Resources|1|N/A|N/A|1:00:00|0|0:0||uid|\n"), False),
        (done("", "slurm_load_jobs error: Invalid job id specified\n", 1), True),
    ],
)
def test_scancel_is_not_asked_to_signal_what_does_not_run(look: Finished, delivered: bool) -> None:
    driver, host = driver_on(squeue=look)
    assert driver.signal(9, "TERM") is delivered
    assert [call["argv"][0] for call in host.calls] == ["squeue"]
    assert "--jobs=9" in host.calls[0]["argv"]


def test_only_so_many_submits_run_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()

    class Slow(StubHost):
        def run(self, argv: Sequence[str], **how: Any) -> Finished:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1
            return done("1\n")

    host = Slow({})
    driver = CliDriver(lambda _: host, most_submits=3)
    threads = [threading.Thread(target=driver.submit, args=(make_request(Path("/x")),)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


def test_an_older_sacct_is_asked_without_what_it_does_not_know() -> None:
    answers = [
        done("", 'sacct: fatal: Invalid field requested: "Restarts"\n', 1),
        done("7|COMPLETED|1|2|3|60|0:0|c1|uid\n"),
        done(""),
    ]

    class Old(StubHost):
        def run(self, argv: Sequence[str], **how: Any) -> Finished:
            self.calls.append({"argv": list(argv)})
            return answers.pop(0)

    host = Old({})
    driver = CliDriver(lambda _: host, programs=Programs(sacct="/opt/sacct"))
    assert (driver.history([7])[7].uid, driver.history([8])) == ("uid", {})
    assert ["Restarts" in " ".join(call["argv"]) for call in host.calls] == [True, False, False]


def test_a_job_of_another_user_is_submitted_as_that_user() -> None:
    hosts = {user: StubHost({"sbatch": done("5\n"), "scancel": done()}) for user in ("", "alice")}
    driver = CliDriver(hosts.__getitem__)
    request: JobRequest = make_request(Path("/x"), user="alice")
    driver.submit(request)
    driver.cancel(5)
    assert [call["argv"][0] for call in hosts["alice"].calls] == ["sbatch", "scancel"]
    assert hosts[""].calls == []
