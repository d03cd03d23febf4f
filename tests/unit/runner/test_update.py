"""What the API lets change of a pod that runs: its deadline, and the images of its containers."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlink.core.plan import PlanContainer, PlanImage, PlanUpdate
from interlink.runner.update import Updates
from tests.unit.runner.apptainer import Apptainer
from tests.unit.runner.registry import Registry, serving
from tests.unit.runner.running import Site, shell


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving(Registry()) as registry:
        for name in ("old", "new"):
            registry.add(name, "1", Cmd=["x"])
        yield registry


def leave(site: Site, deadline: int | None = None, **images: PlanImage) -> None:
    """Leave an update as the sidecar does."""
    update = PlanUpdate(volumes=[], active_deadline_seconds=deadline, images=images)
    (site.job / "left").write_bytes(msgspec.json.encode(update))
    (site.job / "left").rename(site.job / "volumes.json")


def image(registry: Registry, name: str) -> PlanImage:
    return PlanImage(said=f"{name}:1", image=f"docker://{registry.address}/{name}:1")


def sleeping(registry: Registry, name: str = "main", **fields: Any) -> PlanContainer:
    """Return a container of the image ``old`` that runs until it is asked to end."""
    return PlanContainer(name=name, image=f"docker://{registry.address}/old:1", command=["sleep"], **fields)


def killed(site: Site) -> list[str]:
    """Return the words of the last report's events of kills."""
    return [event.message for event in site.last().container_events or () if event.reason == "Killing"]


def test_a_shortened_deadline_counts_from_the_runs_begin(site: Site) -> None:
    began = time.monotonic()
    with site.start(site.plan(shell("exec sleep 60"), active_deadline_seconds=50)) as runner:
        site.wait(site.running)
        leave(site, deadline=3)
        assert runner.wait(20) == 1
    assert 3 <= time.monotonic() - began < 15
    assert site.last().reason == "DeadlineExceeded"
    assert site.ends()["main"]["exitCode"] == 143


def test_a_deadline_that_is_over_when_it_is_set_ends_the_pod_at_once(site: Site) -> None:
    with site.start(site.plan(shell("exec sleep 60"))) as runner:
        site.wait(site.running)
        time.sleep(1.1)
        leave(site, deadline=1)
        runner.wait(20)
    assert site.last().reason == "DeadlineExceeded"


def test_a_run_begins_with_the_deadline_that_the_pod_got_in_the_queue(site: Site) -> None:
    leave(site, deadline=1)
    site.run(site.plan(shell("exec sleep 60"), active_deadline_seconds=50))
    assert site.last().reason == "DeadlineExceeded"


@pytest.mark.parametrize("policy", ["Never", "OnFailure", "Always"])
def test_a_new_image_ends_the_container_and_starts_it_again_whatever_the_restart_policy(
    site: Site, registry: Registry, apptainer: Apptainer, policy: Any
) -> None:
    plan = site.plan(sleeping(registry), runtime=apptainer.runtime, restart_policy=policy)
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and site.running())
        assert site.last().images == {}
        before = site.status()["imageID"]
        leave(site, main=image(registry, "new"))
        site.wait(lambda: site.running() and site.status()["restartCount"] == 1)
        status, report = site.status(), site.last()
        assert report.images == {"main": "new:1"}
        assert killed(site) == ["Container main definition changed, will be restarted"]
        assert "/new@sha256:" in status["imageID"]
        assert status["imageID"] != before
        assert status["lastState"]["terminated"]["exitCode"] == 143
        assert "CrashLoopBackOff" not in str(site.reports()), "the new image waits for nothing that the old one did"
        runner.terminate()
        runner.wait(20)
    assert site.ends()["main"]["exitCode"] == 143


def test_an_image_that_is_taken_back_is_run_again(site: Site, registry: Registry, apptainer: Apptainer) -> None:
    with site.start(site.plan(sleeping(registry), runtime=apptainer.runtime)) as runner:
        site.wait(lambda: site.reports() and site.running())
        leave(site, main=image(registry, "new"))
        site.wait(lambda: site.running() and site.status()["restartCount"] == 1)
        leave(site)
        site.wait(lambda: site.running() and site.status()["restartCount"] == 2)
        assert site.last().images == {}
        assert "/old@sha256:" in site.status()["imageID"]
        runner.terminate()
        runner.wait(20)


def test_the_same_image_said_again_and_another_containers_change_nothing(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    plan = site.plan(sleeping(registry), sleeping(registry, "other"), runtime=apptainer.runtime)
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and site.running() and site.running("other"))
        for deadline in (1000, 900):
            leave(site, deadline, other=image(registry, "new"))
            site.wait(lambda: site.running("other") and site.status("other")["restartCount"] == 1)
        time.sleep(2.5)  # two looks
        assert (site.status("other")["restartCount"], site.status()["restartCount"]) == (1, 0)
        assert site.last().images == {"other": "new:1"}
        runner.terminate()
        runner.wait(20)


def test_a_container_that_waits_for_an_image_waits_for_the_new_one_instead(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    missing = PlanContainer(name="main", image=f"docker://{registry.address}/none:1", command=["sleep"])
    with site.start(site.plan(missing, runtime=apptainer.runtime)) as runner:
        site.wait(lambda: site.reports() and site.waiting().get("reason") == "ErrImagePull")
        leave(site, main=image(registry, "new"))
        site.wait(site.running)
        assert site.status()["restartCount"] == 0
        assert site.status()["lastState"] == {}
        runner.terminate()
        runner.wait(20)


def test_a_container_in_its_back_off_is_started_at_once_with_its_new_image(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    crashing = PlanContainer(name="main", image=f"docker://{registry.address}/old:1", command=["c"])
    with site.start(site.plan(crashing, runtime=apptainer.runtime, restart_policy="Always")) as runner:
        site.wait(lambda: site.reports() and site.waiting().get("reason") == "CrashLoopBackOff")
        restarts = site.status()["restartCount"]
        began = time.monotonic()
        leave(site, main=image(registry, "new"))
        site.wait(lambda: site.status()["restartCount"] > restarts)
        assert time.monotonic() - began < 8, "the pause was 10 s"
        runner.terminate()
        runner.wait(20)


def test_an_image_that_must_not_be_had_stops_the_container_and_says_why(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    with site.start(site.plan(sleeping(registry), runtime=apptainer.runtime)) as runner:
        site.wait(lambda: site.reports() and site.running())
        leave(site, main=PlanImage(said="/etc", refused='container "main": no image'))
        site.wait(lambda: site.waiting().get("reason") == "InvalidImageName")
        assert site.waiting()["message"] == 'container "main": no image'
        assert site.last().images == {"main": "/etc"}
        leave(site, main=image(registry, "new"))
        site.wait(site.running)
        assert site.status()["restartCount"] == 1
        runner.terminate()
        runner.wait(20)


def test_a_container_that_has_ended_for_good_stays_so(site: Site, registry: Registry, apptainer: Apptainer) -> None:
    done = PlanContainer(name="done", image=f"docker://{registry.address}/old:1", command=["c"])
    with site.start(site.plan(done, sleeping(registry), runtime=apptainer.runtime)) as runner:
        site.wait(lambda: site.reports() and site.running() and site.ends()["done"])
        leave(site, done=image(registry, "new"))
        time.sleep(2.5)  # two looks
        assert site.ends()["done"]["exitCode"] == 0
        assert site.last().images == {}
        runner.terminate()
        runner.wait(20)


def test_an_init_container_that_runs_goes_on_and_a_sidecar_starts_anew_beside_the_rest(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    side = sleeping(registry, "side", restart_policy="Always")
    plan = site.plan(
        sleeping(registry),
        init_containers=[side, sleeping(registry, "init")],
        runtime=apptainer.runtime,
        termination_grace_period_seconds=30,
    )
    with site.start(plan) as runner:
        site.wait(lambda: site.reports() and site.running("side") and site.running("init"))
        began = time.monotonic()
        leave(site, side=image(registry, "new"), init=image(registry, "new"))
        site.wait(lambda: site.running("side") and site.status("side")["restartCount"] == 1)
        assert time.monotonic() - began < 10, "it waits for no other container's end"
        assert site.running("init")
        assert site.status("init")["restartCount"] == 0
        assert site.last().images == {"side": "new:1"}
        assert killed(site) == ["Init container side definition changed"]
        runner.terminate()
        runner.wait(20)


def test_a_pod_that_is_being_ended_starts_nothing_anew(site: Site, registry: Registry, apptainer: Apptainer) -> None:
    with site.start(site.plan(sleeping(registry), runtime=apptainer.runtime)) as runner:
        site.wait(lambda: site.reports() and site.running())
        runner.terminate()
        leave(site, main=image(registry, "new"))
        runner.wait(20)
    assert site.last().finished
    assert site.last().images == {}
    assert site.status()["restartCount"] == 0


def test_a_run_begins_with_the_image_that_the_pod_got_in_the_queue(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    leave(site, main=image(registry, "new"))
    with site.start(site.plan(sleeping(registry), runtime=apptainer.runtime)) as runner:
        site.wait(lambda: site.reports() and site.running())
        assert site.last().images == {"main": "new:1"}
        assert [call[0][-1] for call in apptainer.pulls()] == ["docker://" + site.status()["imageID"]]
        runner.terminate()
        runner.wait(20)


def test_the_pull_of_an_image_that_nobody_wants_any_more_ends(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    apptainer.hold.touch()
    with site.start(site.plan(sleeping(registry), runtime=apptainer.runtime)) as runner:
        site.wait(lambda: apptainer.pulls())
        leave(site, main=image(registry, "new"))
        site.wait(lambda: len(apptainer.pulls()) == 2)
        apptainer.hold.unlink()
        site.wait(site.running)
        assert "/new@" in site.status()["imageID"]
        runner.terminate()
        runner.wait(20)
    assert len([path for path in site.images.rglob("*.sif") if not path.name.startswith(".")]) == 1


def ignored(site: Site) -> list[tuple[str, str, int]]:
    """Return by container what events say of changes without effect, and how often."""
    events = site.last().container_events or ()
    return [(event.container, event.message, event.count) for event in events if event.reason == "FieldIgnored"]


def test_straight_on_the_host_another_image_has_no_effect_and_an_event_says_so_once(site: Site) -> None:
    words = 'the change of the image to "{}" has no effect: containers run straight on the host here, without images'
    with site.start(site.plan(shell("exec sleep 60"), shell("exec sleep 60", name="other"))) as runner:
        site.wait(site.running)
        new = PlanImage(said="new:1", image="new:1")
        leave(site, main=new)
        site.wait(lambda: ignored(site) == [("main", words.format("new:1"), 1)])
        leave(site, main=new, other=new)
        site.wait(lambda: len(ignored(site)) == 2)
        assert ignored(site) == [("main", words.format("new:1"), 1), ("other", words.format("new:1"), 1)]
        assert site.status()["restartCount"] == 0
        assert site.last().images == {}
        runner.terminate()
        runner.wait(20)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PARTS = st.fixed_dictionaries(
    {"volumes": JSON | st.just([])}, optional={"activeDeadlineSeconds": JSON | st.just(5), "images": JSON}
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=JSON | PARTS)
def test_whatever_lies_there_is_an_update_in_bounds_or_none(tmp_path: Path, document: Any) -> None:
    (tmp_path / "volumes.json").write_text(json.dumps(document))
    update = Updates(str(tmp_path)).read()
    if update is not None:
        assert update.deadline is None or 0 <= update.deadline < 2**31
        assert all(set(image) == {"said", "image", "refused"} for image in update.images.values())
        assert all(isinstance(files, list) for files in update.contents.values())
