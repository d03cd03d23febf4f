"""Images that several containers share, that cannot be had, or that nobody waits for any more."""

import json
import sys
import time
from pathlib import Path

import pytest

from interlink.core.plan import PlanContainer, PlanMount, PlanRuntime, PlanVolume
from tests.unit.runner.running import Site, shell

IMAGE = "docker://registry/busybox"
PULLS_SLOWLY = """#!{python}
import sys, time
if "pull" in sys.argv:
    open(sys.argv[-2], "w").write("half")
    time.sleep({seconds})
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def _runtime(site: Site, seconds: float) -> PlanRuntime:
    program = site.job.parent / "apptainer"
    program.write_text(PULLS_SLOWLY.format(python=sys.executable, seconds=seconds))
    program.chmod(0o755)
    return PlanRuntime(kind="apptainer", executable=str(program), image_cache=str(site.images))


def test_containers_may_name_one_image_with_different_pull_policies(site: Site) -> None:
    one = PlanContainer(name="one", image=IMAGE, pull_policy="IfNotPresent")
    two = PlanContainer(name="two", image=IMAGE, pull_policy="Always")
    assert site.run(site.plan(one, two, runtime=_runtime(site, 0.2))) == 0, site.said
    assert [end["exitCode"] for end in site.ends().values()] == [0, 0]
    assert len(list(site.images.glob("*.sif"))) == 1


@pytest.mark.parametrize("missing", ["program", "cache"])
def test_a_node_without_the_runtime_or_the_cache_is_said_in_the_waiting_state(site: Site, missing: str) -> None:
    cache = site.images if missing == "program" else site.images / "away"
    runtime = PlanRuntime(kind="apptainer", executable="/nonexistent/apptainer", image_cache=str(cache))
    process = site.start(site.plan(PlanContainer(name="main", image=IMAGE), runtime=runtime))
    site.wait(lambda: any("ErrImagePull" in json.dumps(report.containers) for report in site.reports()))
    assert "No such file" in site.last().containers[0]["state"]["waiting"]["message"]
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert site.last().finished


def test_a_pull_that_nobody_waits_for_any_more_ends_and_leaves_nothing(site: Site) -> None:
    process = site.start(site.plan(PlanContainer(name="main", image=IMAGE), runtime=_runtime(site, 60)))
    site.wait(lambda: list(site.images.glob("*.partial")))
    began = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert time.monotonic() - began < 10
    assert not list(site.images.glob("*.partial"))


def test_mounts_below_mounts_appear_on_the_host_in_every_run(site: Site) -> None:
    container = shell(
        'echo x >> "$INTERLINK_MOUNTS/a/b/f"; [ "$(wc -l < "$INTERLINK_MOUNTS/a/b/f")" = 2 ]',
        mounts=[
            PlanMount(volume="e", mount_path="/a/b", sub_path="inner"),
            PlanMount(volume="e", mount_path="/a"),
        ],
    )
    plan = site.plan(container, restart_policy="OnFailure", volumes=[PlanVolume(name="e", kind="emptyDir")])
    assert site.run(plan) == 0
    assert site.last().containers[0]["restartCount"] == 1
    assert (site.job / "volumes" / "e" / "inner" / "f").read_text() == "x\nx\n"
