"""The runner as the pod's kubelet: the order of containers, restarts over requeues, last words, memory, input."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from interlink.core.plan import PlanHandler
from tests.unit.runner.running import PlanContainer, PlanMount, PlanVolume, Site, shell

SHARED = [PlanVolume(name="s", kind="emptyDir")]
MOUNT = [PlanMount(volume="s", mount_path="/s")]
HOOK = PlanHandler(kind="exec", command=["sleep", "60"])
#: Adds a word to the story that all containers of a pod write together.
TELL = 'tell() { echo "$1" >> "$INTERLINK_MOUNTS/s/story"; }; '


def step(script: str, name: str = "main", **fields: Any) -> PlanContainer:
    """Return a container that can tell the story."""
    return shell(TELL + script, name, mounts=MOUNT, **fields)


def story(site: Site) -> list[str]:
    """Return what the containers told, in order."""
    path = site.job / "volumes" / "s" / "story"
    return path.read_text().split() if path.exists() else []


def beside(name: str, script: str = "") -> PlanContainer:
    """Return a sidecar that tells its start and its end."""
    trap = f"trap 'tell {name}-ends; exit 0' TERM; tell {name}-starts; "
    return step(trap + script + "while :; do sleep 0.05; done", name, restart_policy="Always")


def test_init_containers_run_one_after_another_before_the_rest(site: Site) -> None:
    init = [step("sleep 0.2; tell one", "one"), step("tell two", "two")]
    assert site.run(site.plan(step("tell main"), init_containers=init, volumes=SHARED)) == 0
    assert story(site) == ["one", "two", "main"]
    first = site.reports()[0]
    assert [item["name"] for item in first.init_containers] == ["one", "two"]
    assert {item["state"]["waiting"]["reason"] for item in first.containers} == {"PodInitializing"}
    assert {item["name"]: (item["ready"], item["started"]) for item in site.last().init_containers} == {
        "one": (True, False), "two": (True, False)}  # fmt: skip


def test_an_init_container_that_fails_fails_a_pod_that_never_restarts(site: Site) -> None:
    init = [step("exit 3", "one"), step("tell two", "two")]
    assert site.run(site.plan(step("tell main"), init_containers=init, volumes=SHARED)) == 1
    assert story(site) == []
    assert site.ends()["one"]["exitCode"] == 3
    assert site.waiting("two")["reason"] == site.waiting("main")["reason"] == "PodInitializing"
    assert "containerID" not in site.status("main")
    assert site.last().finished


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
def test_an_init_container_that_fails_is_tried_again_by_other_policies(site: Site, policy: str) -> None:
    script = "tell try; [ -f $INTERLINK_MOUNTS/s/x ] && exit 0; touch $INTERLINK_MOUNTS/s/x; exit 5"
    main = step("tell main; sleep 60")
    plan = site.plan(main, init_containers=[step(script, "one")], volumes=SHARED, restart_policy=policy)
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and site.running())
        runner.terminate()
    assert story(site) == ["try", "try", "main"]
    assert (site.status("one")["restartCount"], site.status("one")["lastState"]["terminated"]["exitCode"]) == (1, 5)


def test_sidecars_run_beside_the_rest_and_end_after_it_the_last_one_first(site: Site) -> None:
    init = [beside("proxy"), step("tell init", "init"), beside("log")]
    main = step("until grep -q log-starts $INTERLINK_MOUNTS/s/story; do sleep 0.05; done; tell main; sleep 0.3")
    assert site.run(site.plan(main, init_containers=init, volumes=SHARED)) == 0
    assert story(site)[0] == "proxy-starts"
    assert story(site)[-3:] == ["main", "log-ends", "proxy-ends"]
    middle = next(report for report in site.reports() if "running" in report.containers[0]["state"])
    assert {item["name"]: item["started"] for item in middle.init_containers if "running" in item["state"]} == {
        "proxy": True, "log": True}  # fmt: skip


def test_a_sidecar_that_ends_is_started_again_even_under_never_and_counts_for_nothing(site: Site) -> None:
    script = "tell run; [ $(grep -c run $INTERLINK_MOUNTS/s/story) = 1 ] && exit 7; trap 'exit 9' TERM; tell ready; "
    proxy = step(script + "while :; do sleep 0.05; done", "proxy", restart_policy="Always")
    main = step("until grep -q ready $INTERLINK_MOUNTS/s/story; do sleep 0.05; done; sleep 0.3")
    assert site.run(site.plan(main, init_containers=[proxy], volumes=SHARED)) == 0
    assert site.status("proxy")["restartCount"] == 1
    assert site.ends()["proxy"]["exitCode"] == 9


def test_asked_to_end_the_sidecars_hear_it_after_the_others(site: Site) -> None:
    main = step("trap 'sleep 0.5; tell main-ends; exit 0' TERM; tell main; while :; do sleep 0.05; done")
    with site.start(site.plan(main, init_containers=[beside("proxy")], volumes=SHARED)) as runner:
        site.wait(lambda: "main" in story(site))
        runner.terminate()
        assert runner.wait(20) == 0
    assert story(site)[-2:] == ["main-ends", "proxy-ends"]


def test_sidecars_that_wait_for_a_stubborn_container_end_with_the_grace_period(site: Site) -> None:
    main = step("trap '' TERM; tell main; while :; do sleep 0.05; done")
    plan = site.plan(main, init_containers=[beside("proxy")], volumes=SHARED, termination_grace_period_seconds=2)
    with site.start(plan) as runner:
        site.wait(lambda: "main" in story(site))
        asked = time.monotonic()
        runner.terminate()
        runner.wait(20)
    assert 2 <= time.monotonic() - asked < 8
    assert "proxy-ends" in story(site)
    assert site.ends()["main"]["exitCode"] == 137


def test_the_deadline_counts_for_init_containers_too(site: Site) -> None:
    plan = site.plan(shell("true"), init_containers=[shell("exec sleep 60", "one")], active_deadline_seconds=1)
    assert site.run(plan) == 1
    assert site.last().reason == "DeadlineExceeded"
    assert site.ends()["one"]["exitCode"] == 143


@pytest.mark.parametrize(("limit", "limit_at"), [("2000000000", 2e9), ("", None)])
def test_slurms_request_to_end_is_reported_with_what_explains_it(site: Site, limit: str, limit_at: float) -> None:
    began = time.time()
    plan = site.plan(shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"),
                     termination_grace_period_seconds=7)  # fmt: skip
    with site.start(plan, SLURM_JOB_END_TIME=limit) as runner:
        site.wait(lambda: site.running() and "ready" in site.log())
        runner.terminate()
        runner.wait(20)
    asked = site.last().asked
    assert asked is not None
    assert began <= asked.at <= time.time()
    assert (asked.limit_at, asked.grace, site.last().reason) == (limit_at, 7, "")


def test_a_deletion_is_no_request_of_slurms(site: Site) -> None:
    plan = site.plan(shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"))
    with site.start(plan) as runner:
        site.wait(lambda: site.running() and "ready" in site.log())
        (site.job / "grace").write_text("5")
        runner.terminate()
        runner.wait(20)
    assert (site.last().asked, site.last().interrupted) == (None, [])


def test_restart_counts_and_the_back_off_are_kept_over_a_requeue(site: Site) -> None:
    plan = site.plan(shell("exit 4"), init_containers=[shell("exit 0", "one")], restart_policy="Always")
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and site.waiting().get("reason") == "CrashLoopBackOff")
        runner.kill()
    report = json.loads((site.job / "report.json").read_text())
    assert report["backOff"]["main"]["pause"] == 20
    assert 5 < report["backOff"]["main"]["until"] - time.time() < 10
    # Slurm needs its time for a requeue; the test does not.
    until = report["backOff"]["main"]["until"] = time.time() + 2
    (site.job / "report.json").write_text(json.dumps(report))
    with site.start(plan, SLURM_RESTART_COUNT="1") as runner:
        site.wait(lambda: site.last().restart == 1 and "back-off 20s" in site.waiting().get("message", ""))
        assert time.time() >= until
        runner.terminate()
        runner.wait(20)
    assert site.status()["restartCount"] == 2
    assert site.ends()["main"]["exitCode"] == 4
    assert (site.status("one")["restartCount"], site.ends()["one"]["exitCode"]) == (1, 0)


def test_a_container_that_ran_when_the_job_was_requeued_starts_again_at_once(site: Site) -> None:
    plan = site.plan(shell("echo ready; sleep 60"))
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and site.running())
        runner.kill()
    with site.start(plan, SLURM_RESTART_COUNT="1") as runner:
        site.wait(lambda: site.last().restart == 1 and site.running())
        runner.terminate()
        runner.wait(20)
    assert site.status()["restartCount"] == 1
    last = site.status()["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (137, "Requeued")
    assert "requeued" in last["message"]


def test_a_container_whose_hook_ran_when_the_job_was_requeued_counts_as_started(site: Site) -> None:
    plan = site.plan(step("tell run; sleep 60", post_start=HOOK), volumes=SHARED, restart_policy="Always")
    ids = ["slurm://7/main/0", "slurm://7/main/1"]
    for restart in (0, 1):
        with site.start(plan, SLURM_RESTART_COUNT=str(restart)) as runner:
            site.wait(lambda: story(site) == ["run"] * (restart + 1))  # noqa: B023 - called before the next round
            site.wait(lambda: site.reports() and site.status().get("containerID") == ids[restart])  # noqa: B023
            runner.kill()
    assert site.status()["restartCount"] == 1
    last = site.status()["lastState"]["terminated"]
    assert (last["reason"], last["containerID"]) == ("Requeued", ids[0])


def test_what_succeeded_on_failure_is_not_run_again_by_a_requeued_job_but_init_containers_are(site: Site) -> None:
    init = [step("tell init", "init")]
    plan = site.plan(step("tell well", "well"), step("tell main; sleep 60"), init_containers=init, volumes=SHARED,
                     restart_policy="OnFailure")  # fmt: skip
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and site.ends()["well"] and site.running() and "main" in story(site))
        runner.kill()
    with site.start(plan, SLURM_RESTART_COUNT="1") as runner:
        site.wait(lambda: site.last().restart == 1 and site.running() and story(site).count("main") == 2)
        assert sorted(story(site)) == ["init", "init", "main", "main", "well"]
        runner.terminate()
        runner.wait(20)
    assert (site.ends()["well"]["exitCode"], site.status("well")["restartCount"]) == (0, 0)
    assert [site.status(name)["restartCount"] for name in ("init", "main")] == [1, 1]


def test_an_exit_0_that_slurm_had_asked_for_is_no_success_when_the_job_runs_again(site: Site) -> None:
    plan = site.plan(step("tell well", "well"), step("trap 'exit 0' TERM; tell main; while true; do sleep 0.1; done"),
                     volumes=SHARED, restart_policy="OnFailure")  # fmt: skip
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and site.ends()["well"] and story(site) == ["well", "main"])
        runner.terminate()
        runner.wait(20)
    assert (site.ends()["main"]["exitCode"], site.last().interrupted) == (0, ["main"])
    with site.start(plan, SLURM_RESTART_COUNT="1") as runner:
        site.wait(lambda: site.last().restart == 1 and site.running())
        assert site.status()["restartCount"] == 1
        runner.kill()
    assert site.ends()["well"]["exitCode"] == 0


def test_last_words_come_from_the_file_that_the_pod_names(site: Site) -> None:
    one = shell("printf 'wörds' > $INTERLINK_MOUNTS/dev/termination-log; exit 2", "one")
    two = shell("echo said > $INTERLINK_MOUNTS/x/y", "two", termination_message_path="/x/y")
    none = shell("rm $INTERLINK_MOUNTS/dev/termination-log; mkfifo $INTERLINK_MOUNTS/dev/termination-log", "none")
    site.run(site.plan(one, two, none))
    ends = site.ends()
    assert (ends["one"]["message"], ends["two"]["message"]) == ("wörds", "said\n")
    assert "message" not in ends["none"]


@pytest.mark.parametrize(("containers", "limit"), [(1, 4096), (5, 12 * 1024 // 5)])
def test_last_words_are_cut_to_the_pods_share(site: Site, containers: int, limit: int) -> None:
    script = "head -c 9000 /dev/zero | tr '\\0' x > $INTERLINK_MOUNTS/dev/termination-log"
    site.run(site.plan(*[shell(script, f"c{number}") for number in range(containers)]))
    assert {len(end["message"]) for end in site.ends().values()} == {limit}


def test_a_failed_container_without_last_words_has_the_end_of_its_log_where_the_pod_says_so(site: Site) -> None:
    fallback = {"termination_message_policy": "FallbackToLogsOnError"}
    long = shell("for i in $(seq 100); do echo $i; done; exit 1", "lines", **fallback)
    wide = shell("head -c 5000 /dev/zero | tr '\\0' x; exit 1", "bytes", **fallback)
    well = shell("echo fine", "well", **fallback)
    plain = shell("echo bad; exit 1", "plain")
    site.run(site.plan(long, wide, well, plain))
    ends = site.ends()
    assert ends["lines"]["message"].split() == [str(number) for number in range(21, 101)]
    assert ends["bytes"]["message"] == "x" * 2048
    assert "message" not in ends["well"]
    assert "message" not in ends["plain"]


EATER = 'python3 -c "import time; x = bytearray({} << 20); print(1, flush=True); time.sleep({})"'


def test_a_container_over_its_memory_limit_is_killed_and_says_so(site: Site) -> None:
    greedy = shell(f"{EATER.format(80, 30)} & wait", "greedy", memory_limit=50 << 20)
    # A daemon of the container's is the container, too.
    hidden = shell(f"(setsid sh -c '({EATER.format(80, 30)} &)' &); sleep 30", "hidden", memory_limit=50 << 20)
    modest = shell(EATER.format(20, 3), "modest", memory_limit=50 << 20)
    began = time.monotonic()
    assert site.run(site.plan(greedy, hidden, modest)) == 1
    assert time.monotonic() - began < 25
    ends = site.ends()
    for name in ("greedy", "hidden"):
        assert (ends[name]["exitCode"], ends[name]["reason"]) == (137, "OOMKilled")
    assert (ends["modest"]["exitCode"], ends["modest"]["reason"]) == (0, "Completed")


def test_files_that_are_only_mapped_are_no_memory_of_a_container(site: Site, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(80 << 20))
    script = (
        f"import mmap, time; file = open('{large}', 'rb'); seen = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ); "
        "sum(seen[i] for i in range(0, len(seen), 4096)); time.sleep(3)"
    )
    site.run(site.plan(shell(f'exec python3 -c "{script}"', memory_limit=50 << 20)))
    assert site.ends()["main"]["exitCode"] == 0, site.log()


def test_input_is_open_and_without_end_until_somebody_writes(site: Site) -> None:
    with site.start(
        site.plan(shell("read line; echo got $line; sleep 0.2", stdin=True), shell("cat", "closed"))
    ) as runner:
        site.wait(lambda: site.reports() and site.running())
        assert runner.poll() is None
        with (site.job / "stdin" / "main").open("w") as typed:
            typed.write("this\n")
        assert runner.wait(20) == 0
    assert site.log() == "stdout F got this\n"
    assert site.ends()["closed"]["exitCode"] == 0


def test_input_that_is_given_once_ends_when_its_writer_takes_it_away(site: Site) -> None:
    with site.start(site.plan(shell("cat; echo end", stdin=True, stdin_once=True))) as runner:
        site.wait(lambda: site.reports() and site.running())
        with (site.job / "stdin" / "main").open("w") as typed:
            typed.write("this\n")
        (site.job / "stdin" / "main").unlink()
        assert runner.wait(20) == 0
    assert site.log() == "stdout F this\nstdout F end\n"


def test_a_terminal_is_one_for_input_and_output(site: Site) -> None:
    script = "test -t 0 && test -t 1 && test -t 2 && tty > $INTERLINK_MOUNTS/s/tty; read line; echo got $line >&2"
    with site.start(site.plan(step(script, tty=True, stdin=True), volumes=SHARED)) as runner:
        site.wait(lambda: (site.job / "volumes" / "s" / "tty").exists())
        with (site.job / "stdin" / "main").open("w") as typed:
            typed.write("this\n")
        assert runner.wait(20) == 0
    assert "stdout F got this\r\n" in (site.job / "logs" / "main.log").read_bytes().decode()


def test_a_large_log_is_cut_into_files_of_which_the_last_ones_stay(site: Site) -> None:
    script = "for i in $(seq 1000); do echo line-$i; done"
    site.run(site.plan(shell(script), log_max_bytes=4096, log_files=3))
    numbers = sorted(int(path.name[len("main.log.") :]) for path in (site.job / "logs").iterdir())
    assert len(numbers) == 4
    assert numbers == list(range(numbers[-1] - 3, numbers[-1] + 1))
    kept = "".join(site.log(suffix=f".{number}") for number in numbers)
    lines = [line.split("-")[1] for line in kept.splitlines()]
    assert lines == [str(number) for number in range(1001 - len(lines), 1001)]
    assert all(path.stat().st_size <= 4096 for path in (site.job / "logs").iterdir())


def test_a_restart_makes_all_files_of_a_log_the_previous_ones(site: Site) -> None:
    script = "for i in $(seq 300); do echo line-$i; done; tell x; [ $(grep -c x $INTERLINK_MOUNTS/s/story) = 2 ]"
    plan = site.plan(step(script), log_max_bytes=4096, log_files=9, restart_policy="OnFailure", volumes=SHARED)
    assert site.run(plan) == 0
    names = {path.name for path in (site.job / "logs").iterdir()}
    numbered = sorted((name for name in names if ".previous." in name), key=lambda name: int(name.split(".")[-1]))
    assert len(numbered) > 1
    text = "".join(site.log(suffix=name[len("main.log") :]) for name in ["main.log.previous", *numbered])
    assert text.splitlines() == [f"stdout F line-{number}" for number in range(1, 301)]


def test_a_killed_runner_leaves_neither_sidecar_nor_init_container_behind(site: Site) -> None:
    mark = f"63{os.getpid()}"
    init = [shell(f"sleep {mark} & sleep {mark}", "proxy", restart_policy="Always"), shell(f"sleep {mark}", "one")]
    with site.start(site.plan(shell("true"), init_containers=init)) as runner:
        site.wait(lambda: _sleeping(mark) == 3)
        runner.kill()
    site.wait(lambda: _sleeping(mark) == 0)


def _sleeping(mark: str) -> int:
    found = subprocess.run(["pgrep", "--full", f"^sleep {mark}$"], capture_output=True, text=True, check=False)
    return len(found.stdout.split())


def test_a_report_says_what_a_requeued_job_needs(site: Site) -> None:
    site.run(site.plan(shell("true")))
    report = json.loads((site.job / "report.json").read_text())
    assert report["backOff"] == {}
    assert report["initContainers"] == []
