"""Hooks and probes of real containers: what they do to a container's state, its restarts and its end."""

import time
from pathlib import Path
from typing import Any

from interlink.core.plan import PlanHandler, PlanProbe, Report
from tests.unit.runner.running import PlanMount, PlanVolume, Site, shell

SHARED = [PlanVolume(name="s", kind="emptyDir")]
MOUNT = [PlanMount(volume="s", mount_path="/s")]
TELL = 'tell() { echo "$1" >> "$INTERLINK_MOUNTS/s/story"; }; '
LOOP = "while :; do sleep 0.05; done"


def run(script: str) -> PlanHandler:
    """Return a handler that runs a script in the container."""
    return PlanHandler(kind="exec", command=["/bin/sh", "-c", TELL + script])


def probe(script: str, **fields: Any) -> PlanProbe:
    """Return a probe that tries every second."""
    return PlanProbe(handler=run(script), **{"period_seconds": 1, "failure_threshold": 1, **fields})


def story(site: Site) -> list[str]:
    """Return what hooks and containers told, in order."""
    path = site.job / "volumes" / "s" / "story"
    return path.read_text().split() if path.exists() else []


def test_a_container_runs_once_its_post_start_hook_is_done(site: Site) -> None:
    script = TELL + "until grep -q second $INTERLINK_MOUNTS/s/story; do sleep 0.05; done; tell end"
    main = shell(script, post_start=run("sleep 0.5; tell hook"), mounts=MOUNT)
    second = shell(TELL + "tell second", "second", mounts=MOUNT)
    assert site.run(site.plan(main, second, volumes=SHARED)) == 0
    assert story(site) == ["hook", "second", "end"]
    assert site.reports()[0].containers[0]["state"].keys() == {"waiting"}


def test_each_start_has_an_id_of_its_own_which_is_told_while_its_hook_runs(site: Site) -> None:
    count = "$(grep -c {} $INTERLINK_MOUNTS/s/story)"
    runs, hooks = count.format("run"), count.format("hook")
    script = TELL + f"tell run; until [ {hooks} = {runs} ]; do sleep 0.05; done; sleep 1; [ {runs} = 2 ]"
    main = shell(script, post_start=run("sleep 0.3; tell hook"), mounts=MOUNT)
    assert site.run(site.plan(main, volumes=SHARED, restart_policy="OnFailure")) == 0
    told = [(next(iter(item["state"])), item.get("containerID")) for item in map(_only, site.reports())]
    assert told == [
        ("waiting", "slurm://7/main/0"), ("running", "slurm://7/main/0"),
        ("waiting", "slurm://7/main/1"), ("running", "slurm://7/main/1"), ("terminated", "slurm://7/main/1"),
    ]  # fmt: skip
    assert site.status()["lastState"]["terminated"]["containerID"] == "slurm://7/main/0"


def test_a_post_start_hook_that_fails_ends_the_container_and_says_so(site: Site) -> None:
    # It fails once the shell has set its trap.
    hook = run("until grep -qs ready $INTERLINK_MOUNTS/s/story; do sleep 0.05; done; echo no way; exit 1")
    main = shell(TELL + f"trap 'exit 6' TERM; tell ready; {LOOP}", post_start=hook, mounts=MOUNT)
    assert site.run(site.plan(main, volumes=SHARED)) == 1
    assert site.ends()["main"]["exitCode"] == 6
    assert site.ends()["main"]["message"].startswith("FailedPostStartHook: ")
    assert "no way" in site.ends()["main"]["message"]
    assert not any("running" in report.containers[0]["state"] for report in site.reports())


def test_the_pre_stop_hook_comes_before_sigterm_and_within_the_grace_period(site: Site) -> None:
    script = TELL + f"trap 'tell term; exit 0' TERM; tell ready; {LOOP}"
    good = shell(script, "good", pre_stop=run("sleep 0.3; tell hook"), mounts=MOUNT)
    endless = shell(f"trap '' TERM; {LOOP}", "endless", pre_stop=run("exec sleep 60"), mounts=MOUNT)
    plan = site.plan(good, endless, volumes=SHARED, termination_grace_period_seconds=2)
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and site.running("good") and site.running("endless") and story(site))
        asked = time.monotonic()
        runner.terminate()
        runner.wait(30)
    assert story(site) == ["ready", "hook", "term"]
    # The endless hook took the grace period, and SIGTERM leaves two seconds all the same.
    assert 4 <= time.monotonic() - asked < 12
    assert site.ends()["endless"]["exitCode"] == 137


def test_a_container_whose_liveness_fails_is_ended_and_started_again(site: Site) -> None:
    again, sick = "[ $(grep -c start $INTERLINK_MOUNTS/s/story) = 2 ]", "$INTERLINK_MOUNTS/s/sick"
    script = TELL + f"trap 'rm {sick}; exit 0' TERM; tell start; {again} && exit 0; touch {sick}; {LOOP}"
    main = shell(script, liveness_probe=probe(f"[ ! -e {sick} ]"), mounts=MOUNT)
    assert site.run(site.plan(main, volumes=SHARED, restart_policy="OnFailure")) == 0
    assert story(site) == ["start", "start"]
    assert "liveness" in site.status()["lastState"]["terminated"]["message"]


def test_readiness_changes_ready_and_nothing_else(site: Site) -> None:
    script = TELL + f"trap 'exit 0' TERM; sleep 2; tell good; sleep 3; rm $INTERLINK_MOUNTS/s/story; {LOOP}"
    main = shell(script, readiness_probe=probe("grep good $INTERLINK_MOUNTS/s/story"), mounts=MOUNT)
    with site.start(site.plan(main, volumes=SHARED)) as runner:
        site.wait(lambda: "".join("01"[report.containers[0]["ready"]] for report in site.reports()).endswith("010"))
        assert site.status()["started"]
        assert site.status()["restartCount"] == 0
        runner.terminate()
        runner.wait(20)


def test_a_sidecar_lets_the_next_start_once_its_startup_probe_succeeds(site: Site) -> None:
    slow = shell(
        TELL + f"trap 'exit 0' TERM; sleep 1.2; tell up; {LOOP}", "slow", mounts=MOUNT, restart_policy="Always",
        startup_probe=probe("grep up $INTERLINK_MOUNTS/s/story", failure_threshold=20),
    )  # fmt: skip
    main = shell(TELL + "tell main", mounts=MOUNT)
    assert site.run(site.plan(main, init_containers=[slow], volumes=SHARED)) == 0
    assert story(site) == ["up", "main"]


def test_a_killed_runner_leaves_no_hook_behind(site: Site) -> None:
    main = shell("sleep 60", post_start=run("tell hook; sleep 60; tell late"), mounts=MOUNT)
    with site.start(site.plan(main, volumes=SHARED)) as runner:
        site.wait(lambda: story(site) == ["hook"])
        pids = [path for path in Path("/proc").iterdir() if path.name.isdigit() and _is_hook(path)]
        assert pids
        runner.kill()
    site.wait(lambda: not any(_is_hook(path) for path in pids))


def _only(report: Report) -> dict[str, Any]:
    (container,) = report.containers
    return container


def _is_hook(process: Path) -> bool:
    try:
        return b"tell late" in (process / "cmdline").read_bytes()
    except OSError:
        return False


def test_a_sidecar_that_fails_its_liveness_probe_waits_for_no_other_containers_end(site: Site) -> None:
    """The order of ends is that of the pod's end: here the others go on."""
    healthy = probe("! grep -q main $INTERLINK_MOUNTS/s/story")
    sidecar = shell("exec sleep 60", "side", restart_policy="Always", liveness_probe=healthy, mounts=MOUNT)
    main = shell(TELL + "tell main; exec sleep 60", mounts=MOUNT)
    plan = site.plan(main, init_containers=[sidecar], volumes=SHARED, termination_grace_period_seconds=40)
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and "terminated" in site.status("side")["lastState"])
        assert site.running()
        runner.terminate()
        runner.wait(20)
