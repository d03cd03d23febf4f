"""The pod runner, run as a compute node runs it: ends, restarts, signals, volumes and reports of real processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.runner.running import PlanContainer, PlanMount, PlanVolume, Site, file, shell


def processes(mark: str) -> list[str]:
    """Return the processes whose command line holds the mark."""
    found = subprocess.run(["pgrep", "--full", mark], capture_output=True, text=True, check=False).stdout.split()
    return [pid for pid in found if pid != str(os.getpid())]


def test_containers_run_side_by_side_and_their_exit_codes_come_back(site: Site) -> None:
    status = site.run(site.plan(shell("exit 0", "good"), shell("exit 7", "bad"), shell("kill -9 $$", "shot")))
    assert status == 1
    ends = site.ends()
    assert {name: end["exitCode"] for name, end in ends.items()} == {"good": 0, "bad": 7, "shot": 137}
    assert {name: end["reason"] for name, end in ends.items()} == {"good": "Completed", "bad": "Error", "shot": "Error"}
    assert site.last().finished


def test_a_pod_whose_containers_all_succeed_is_exit_status_0(site: Site) -> None:
    assert site.run(site.plan(shell("true"))) == 0


def test_each_transition_is_a_whole_report_with_a_growing_number(site: Site) -> None:
    site.run(site.plan(shell("sleep 0.3", "first"), shell("sleep 0.8", "second")))
    reports = site.reports()
    assert [report.sequence for report in reports] == list(range(1, len(reports) + 1))
    assert all([item["name"] for item in report.containers] == ["first", "second"] for report in reports)
    assert [report.finished for report in reports] == [False] * (len(reports) - 1) + [True]
    assert {report.job_id for report in reports} == {"7"}
    assert (site.job / "report.json").read_bytes() == max(site.spool.iterdir(), key=lambda p: p.name).read_bytes()


def test_start_and_end_are_the_true_times(site: Site) -> None:
    began = time.time()
    site.run(site.plan(shell("sleep 1.2")))
    end = site.ends()["main"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", end["startedAt"])
    assert end["startedAt"] < end["finishedAt"]
    assert end["startedAt"] >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began))


def test_output_goes_into_a_log_by_stream_with_lines_cut_short_marked(site: Site) -> None:
    site.run(site.plan(shell("echo one; echo two >&2; printf three")))
    assert sorted(site.log().splitlines()) == ["stderr F two", "stdout F one", "stdout P three"]


def test_long_lines_are_cut_and_nothing_is_lost(site: Site) -> None:
    site.run(site.plan(shell("head -c 100000 /dev/zero | tr '\\0' x; echo; echo end")))
    lines = site.log().splitlines()
    assert "".join(line.split(" ", 2)[2] for line in lines) == "x" * 100_000 + "end"
    assert [line.split(" ")[1] for line in lines] == ["P"] * 6 + ["F", "F"]


def test_what_a_container_printed_before_it_was_killed_is_kept(site: Site) -> None:
    site.run(site.plan(shell("echo last words; kill -9 $$")))
    assert site.log() == "stdout F last words\n"


def test_on_failure_a_container_is_started_again_until_it_succeeds(site: Site) -> None:
    script = "echo run; [ -f $INTERLINK_MOUNTS/s/x ] && exit 0; touch $INTERLINK_MOUNTS/s/x; exit 5"
    main = shell(script, mounts=[PlanMount(volume="s", mount_path="/s")])
    assert site.run(site.plan(main, restart_policy="OnFailure", volumes=[PlanVolume(name="s", kind="emptyDir")])) == 0
    (status,) = site.last().containers
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 5
    assert site.log() == site.log(suffix=".previous") == "stdout F run\n"


def test_never_means_that_a_failed_container_stays_so(site: Site) -> None:
    site.run(site.plan(shell("exit 3")))
    assert site.last().containers[0]["restartCount"] == 0


def test_always_starts_again_with_a_growing_pause_and_ends_when_asked(site: Site) -> None:
    with site.start(site.plan(shell("exit 0"), restart_policy="Always")) as runner:
        site.wait(lambda: site.reports() and site.waiting().get("reason") == "CrashLoopBackOff")
        assert site.waiting()["message"] == "back-off 10s restarting failed container=main pod=p_ns"
        assert site.last().containers[0]["restartCount"] == 1
        runner.terminate()
        runner.wait(20)
    assert site.ends()["main"]["exitCode"] == 0


def test_sigterm_asks_the_container_which_may_end_well(site: Site) -> None:
    script = "trap 'echo asked; exit 4' TERM; echo ready; while :; do sleep 0.05; done"
    with site.start(site.plan(shell(script))) as runner:
        site.wait(lambda: site.running() and "ready" in site.log())
        runner.terminate()
        assert runner.wait(20) == 1
    assert site.ends()["main"]["exitCode"] == 4
    assert "asked" in site.log()


def test_a_container_that_ignores_sigterm_is_ended_after_the_grace_period(site: Site) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    with site.start(site.plan(shell(script), termination_grace_period_seconds=1)) as runner:
        site.wait(lambda: site.running() and "ready" in site.log())
        asked = time.monotonic()
        runner.terminate()
        runner.wait(20)
    assert time.monotonic() - asked >= 1
    assert site.ends()["main"]["exitCode"] == 137


STUBBORN = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.mark.parametrize(("text", "within"), [("1", (1, 20)), ("0\n", (0, 20)), ("-3", (0, 20))])
def test_the_grace_period_of_a_deletion_counts_instead_of_the_pods(
    site: Site, text: str, within: tuple[float, float]
) -> None:
    with site.start(site.plan(shell(STUBBORN), termination_grace_period_seconds=3600)) as runner:
        site.wait(lambda: site.running() and "ready" in site.log())
        (site.job / "grace").write_text(text)
        asked = time.monotonic()
        runner.terminate()
        runner.wait(30)
    assert within[0] <= time.monotonic() - asked < within[1]
    assert site.ends()["main"]["exitCode"] == 137


def test_a_longer_grace_period_of_a_deletion_is_kept_and_one_that_is_none_is_said(site: Site) -> None:
    script = "trap 'sleep 1; exit 4' TERM; echo ready; while :; do sleep 0.05; done"
    for job, (text, code) in enumerate({"60": 4, "soon": 137}.items()):
        (site.job / "claim").unlink(missing_ok=True)
        (site.job / "logs" / "main.log").unlink(missing_ok=True)
        (site.job / "grace").write_text(text)
        with site.start(site.plan(shell(script), termination_grace_period_seconds=0), job=str(job)) as runner:
            site.wait(lambda: (site.job / "logs" / "main.log").exists() and "ready" in site.log())
            runner.terminate()
            said = runner.communicate(timeout=30)[1]
        report = json.loads((site.job / "report.json").read_text())
        assert report["containers"][0]["state"]["terminated"]["exitCode"] == code
        assert ("the pod's own grace period counts" in said) == (text == "soon")


def test_asked_again_the_shorter_grace_period_counts_and_the_container_hears_it_once(site: Site) -> None:
    with site.start(site.plan(shell(STUBBORN))) as runner:
        site.wait(lambda: site.running() and "ready" in site.log())
        (site.job / "grace").write_text("20")
        asked = time.monotonic()
        runner.terminate()
        site.wait(lambda: "asked" in site.log())
        (site.job / "grace").write_text("3600")
        runner.terminate()
        time.sleep(1)
        (site.job / "grace").write_text("1")
        runner.terminate()
        runner.wait(30)
    assert time.monotonic() - asked < 15
    assert site.log().count("asked") == 1


def test_a_deadline_ends_the_pod_and_says_so(site: Site) -> None:
    site.run(site.plan(shell("exec sleep 60"), active_deadline_seconds=1))
    assert site.last().reason == "DeadlineExceeded"
    assert site.last().message
    assert site.ends()["main"]["exitCode"] == 143


def test_a_killed_runner_leaves_no_process_behind(site: Site) -> None:
    mark = f"61{os.getpid()}"
    with site.start(site.plan(shell(f"sleep {mark} & sleep {mark}"))) as runner:
        site.wait(lambda: len(processes(f"^sleep {mark}$")) == 2)
        runner.kill()
    site.wait(lambda: processes(f"^sleep {mark}$") == [])


#: Children of a container that want to outlive it: they fork twice, begin a session and ignore every polite signal; one
#: clears its environment, too.
DAEMONS = (
    "trap '' TERM HUP INT; (setsid sh -c '(setsid sleep {0} > /dev/null 2>&1 < /dev/null &)' &); "
    "(env -i setsid /bin/sh -c '(sleep {0} > /dev/null 2>&1 < /dev/null &)' &); sleep 0.2; "
)


@pytest.mark.parametrize("which", ["runner", "guard"])
def test_whichever_of_runner_and_guard_is_killed_no_daemon_of_a_container_stays(site: Site, which: str) -> None:
    mark = f"63{os.getpid()}"
    with site.start(site.plan(shell(DAEMONS.format(mark) + "sleep 60"))) as guard:
        site.wait(lambda: len(processes(f"^sleep {mark}$")) == 2)
        (runner,) = Path(f"/proc/{guard.pid}/task/{guard.pid}/children").read_text().split()
        os.kill(int(runner) if which == "runner" else guard.pid, signal.SIGKILL)
        site.wait(lambda: processes(f"^sleep {mark}$") == [])
        assert guard.wait(20) == -signal.SIGKILL
        site.wait(lambda: not Path(f"/proc/{runner}").exists())


def test_daemons_of_a_container_end_with_it_and_those_that_hide_whose_they_are_with_the_pod(site: Site) -> None:
    mark = f"64{os.getpid()}"
    beside = shell(f"while [ $(pgrep -c -f '^sleep {mark}$') != 1 ]; do sleep 0.1; done", "beside")
    assert site.run(site.plan(shell(DAEMONS.format(mark)), beside)) == 0
    assert processes(f"^sleep {mark}$") == []


def test_orphans_that_ended_are_not_kept_as_zombies(site: Site) -> None:
    script = "for i in 1 2 3; do (setsid sh -c '(sleep 0.1 &)' &); done; sleep 1; ps -o stat= --ppid $PPID; exit 0"
    assert site.run(site.plan(shell(script))) == 0
    states = [line.split()[-1] for line in site.log().splitlines()]
    assert states
    assert not [state for state in states if state.startswith("Z")]


def test_a_background_process_neither_holds_the_pod_up_nor_outlives_it(site: Site) -> None:
    mark = f"62{os.getpid()}"
    began = time.monotonic()
    assert site.run(site.plan(shell(f"sleep {mark} & exit 0"))) == 0
    assert time.monotonic() - began < 20
    assert processes(f"^sleep {mark}$") == []


def test_a_second_job_of_the_same_pod_starts_nothing(site: Site) -> None:
    plan = site.plan(shell("echo ran"))
    assert site.run(plan, job="7") == 0
    before = site.reports()
    assert site.run(plan, job="8") == 0
    assert "job 7 has this pod already" in site.said
    assert site.reports() == before


def test_a_requeued_job_runs_its_pod_again_and_counts_on(site: Site) -> None:
    plan = site.plan(shell("echo ran"))
    site.run(plan)
    first = site.last().sequence
    site.run(plan, SLURM_RESTART_COUNT="1")
    assert site.last().restart == 1
    assert site.last().sequence > first


def test_volumes_hold_what_the_plan_says_with_its_modes(site: Site) -> None:
    script = (
        "cd $INTERLINK_MOUNTS; cat c/a.txt c/deep/b.txt one; stat -L -c %a c/a.txt c/deep/b.txt; "
        "readlink c/a.txt; echo shared > e/x; cat again/x"
    )
    mounts = [
        PlanMount(volume="c", mount_path="/c"), PlanMount(volume="c", mount_path="/one", sub_path="a.txt"),
        PlanMount(volume="e", mount_path="/e"), PlanMount(volume="e", mount_path="/again"),
    ]  # fmt: skip
    files = [file("a.txt", "A\n", 0o400), file("deep/b.txt", "B\n", 0o640)]
    volumes = [PlanVolume(name="c", kind="files", files=files), PlanVolume(name="e", kind="emptyDir")]
    assert site.run(site.plan(shell(script, mounts=mounts), volumes=volumes)) == 0, site.log()
    text = "".join(line.split(" ", 2)[2] + "\n" for line in site.log().splitlines())
    assert text == "A\nB\nA\n400\n640\n..data/a.txt\nshared\n"


def test_a_container_sees_its_own_environment_and_nothing_of_the_jobs(site: Site) -> None:
    odd = "a b;$HOME `id` \"q\" 'q' \\ ü\nsecond line"
    environ = {"SLURM_SECRET": "x", "INTERLINK_TOKEN": "y"}
    site.run(site.plan(shell('printf "%s" "$ODD"; env | cut -d= -f1', env=[("ODD", odd), ("EMPTY", "")])), **environ)
    assert odd.splitlines()[0] in site.log()
    assert "EMPTY" in site.log()
    assert "SECRET" not in site.log()
    assert "TOKEN" not in site.log()


def test_the_locale_of_the_job_changes_no_byte(site: Site) -> None:
    script = 'printf "%s|%s|%s|" "$1" "$ODD" "$(pwd)"; cat "$INTERLINK_MOUNTS/ü/käse"'
    container = PlanContainer(
        name="main", image="bild-ü", command=["/bin/sh", "-c", script, "sh"], args=["Größe €"], env=[("ODD", "ñ 漢")],
        mounts=[PlanMount(volume="c", mount_path="/ü", sub_path="größe")], working_dir=str(site.job.parent / "wört"),
    )  # fmt: skip
    (site.job.parent / "wört").mkdir()
    volumes = [PlanVolume(name="c", kind="files", files=[file("größe/käse", "Inhalt ü\n")])]
    missing = PlanContainer(name="missing", image="", command=["/nö/such"])
    plan = site.plan(container, missing, volumes=volumes)
    site.run(plan, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    log = (site.job / "logs" / "main.log").read_bytes().decode()
    assert log.endswith(f"stdout F Größe €|ñ 漢|{site.job.parent}/wört|Inhalt ü\n")
    assert site.last().containers[0]["image"] == "bild-ü"
    assert "/nö/such" in site.ends()["missing"]["message"]


def test_what_no_process_can_be_given_is_a_start_error(site: Site) -> None:
    assert site.run(site.plan(shell("true", env=[("A", "x\0y")]))) == 1
    assert site.ends()["main"]["reason"] == "StartError"


def test_a_process_with_any_bytes_for_its_name_is_ended_too(site: Site) -> None:
    name = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'\\xff)', 0, 0, 0); print(1, flush=True); time.sleep(60)"
    script = (
        f'"{sys.executable}" -c "{name}" > "$INTERLINK_MOUNTS/e/x" & until [ -s "$INTERLINK_MOUNTS/e/x" ]; do :; done'
    )
    main = shell(script, mounts=[PlanMount(volume="e", mount_path="/e")])
    assert site.run(site.plan(main, volumes=[PlanVolume(name="e", kind="emptyDir")])) == 0, site.said


def test_a_command_that_is_not_there_is_a_start_error(site: Site) -> None:
    container = PlanContainer(name="main", image="", command=["/no/such/program"])
    assert site.run(site.plan(container)) == 1
    end = site.ends()["main"]
    assert (end["exitCode"], end["reason"]) == (128, "StartError")
    assert "/no/such/program" in end["message"]


def test_a_container_on_the_host_needs_a_command(site: Site) -> None:
    site.run(site.plan(PlanContainer(name="main", image="busybox")))
    assert "needs a command" in site.ends()["main"]["message"]


def test_reports_that_cannot_be_written_are_written_later(site: Site) -> None:
    site.spool.rmdir()
    with site.start(site.plan(shell("sleep 0.5"))) as runner:
        site.wait(lambda: (site.job / "report.json").exists() and b'"finished": true' in _report(site))
        site.spool.mkdir()
        assert runner.wait(20) == 0
    assert site.last().finished


def _report(site: Site) -> bytes:
    return (site.job / "report.json").read_bytes()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', '{"version": 1}'])
def test_a_plan_that_cannot_be_carried_out_is_said_so(site: Site, text: str) -> None:
    plan = site.job / "plan.json"
    plan.write_text(text)
    assert site.run(plan) == 2
    assert "the pod cannot be run" in site.said


def test_wrong_use_is_said_so(site: Site) -> None:
    assert site.run(Path("a"), SLURM_JOB_ID="1") == 2
