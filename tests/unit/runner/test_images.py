"""Images on their way into the site's cache: once per digest, for whom the registry allows it, and told in words."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlink.core.plan import PlanContainer, PlanCredential, PlanMount, PlanRuntime, PlanVolume
from tests.unit.runner.apptainer import Apptainer
from tests.unit.runner.registry import Registry, serving
from tests.unit.runner.running import Site, shell


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving(Registry()) as registry:
        yield registry


def image(registry: Registry, name: str = "app:1", **fields: Any) -> PlanContainer:
    """Return a container of an image of the registry."""
    return PlanContainer(name="main", image=f"docker://{registry.address}/{name}", command=["c"], **fields)


def again(site: Site) -> None:
    """Let the next run of the runner be another job's."""
    (site.job / "claim").unlink(missing_ok=True)
    for path in [*site.spool.iterdir(), *(site.job / "logs").iterdir()]:
        path.unlink()


def cached(site: Site) -> list[str]:
    """Return the images in the cache, and whatever a pull may have left."""
    return sorted(str(path.relative_to(site.images)) for path in site.images.rglob("*.sif"))


def waiting(site: Site) -> dict[str, str]:
    """Return what the container waits for."""
    state: dict[str, dict[str, str]] = site.last().containers[0]["state"] if site.reports() else {}
    return state.get("waiting", {})


def test_an_image_is_pulled_once_by_its_digest_and_shown_with_it(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    digest = registry.add("app", "1", Cmd=["x"])
    containers = [image(registry), image(registry)]
    containers[1].name = "two"
    site.run(site.plan(*containers, runtime=apptainer.runtime))
    assert [pull[0][-1] for pull in apptainer.pulls()] == [f"docker://{registry.address}/app@{digest}"]
    assert site.last().containers[0]["imageID"] == f"{registry.address}/app@{digest}"
    assert apptainer.ran_with()[0][-2:] == [str(next(site.images.glob("*.sif"))), "c"]
    asked = len(registry.asked)
    again(site)
    site.run(site.plan(*containers, runtime=apptainer.runtime))
    assert (len(apptainer.pulls()), len(registry.asked)) == (1, asked)
    assert site.last().containers[0]["imageID"] == f"{registry.address}/app@{digest}"


def test_two_tags_of_one_digest_are_one_file_and_a_tag_that_moved_is_another(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    registry.add("app", "1", "same", Cmd=["x"])
    for name in ("app:1", "app:same"):
        site.run(site.plan(image(registry, name), runtime=apptainer.runtime))
        again(site)
    assert (len(apptainer.pulls()), len(cached(site))) == (1, 1)
    moved = registry.add("app", "1", Cmd=["y"])
    site.run(site.plan(image(registry), runtime=apptainer.runtime))
    assert len(apptainer.pulls()) == 1
    again(site)
    site.run(site.plan(image(registry, pull_policy="Always"), runtime=apptainer.runtime))
    assert moved in site.last().containers[0]["imageID"]
    assert (len(apptainer.pulls()), len(cached(site))) == (2, 2)


def test_the_policy_always_asks_for_the_digest_alone_and_pulls_what_is_new(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    registry.add("app", "1", Cmd=["x"])
    container = image(registry, pull_policy="Always")
    site.run(site.plan(container, runtime=apptainer.runtime))
    registry.asked.clear()
    again(site)
    site.run(site.plan(container, runtime=apptainer.runtime))
    assert len(apptainer.pulls()) == 1
    assert [line.split()[0] for line in registry.asked] == ["HEAD"]


def test_a_platforms_image_is_taken_out_of_an_index_whose_digest_is_shown(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    digest = registry.add("app", "1", index=True, Cmd=["x"], Env=["FROM=image"])
    site.run(site.plan(image(registry), runtime=apptainer.runtime))
    assert digest in site.last().containers[0]["imageID"]
    pulled = apptainer.pulls()[0][0][-1]
    assert pulled.endswith(registry.add("app", Cmd=["x"], Env=["FROM=image"]))
    assert digest not in pulled
    assert apptainer.ran_with()[1]["FROM"] == "image"


def test_what_the_image_says_of_itself_is_kept_with_it(site: Site, registry: Registry, apptainer: Apptainer) -> None:
    registry.add("app", "1", Entrypoint=["/entry"], Cmd=["cmd"], WorkingDir="/work", Env=["A=1"])
    container = PlanContainer(name="main", image=f"docker://{registry.address}/app:1", args=["arg"])
    for _ in range(2):
        site.run(site.plan(container, runtime=apptainer.runtime))
        argv, environ = apptainer.ran_with()
        assert argv[-2:] == ["/entry", "arg"]
        assert argv[argv.index("--pwd") + 1] == "/work"
        assert environ["A"] == "1"
        again(site)


def test_a_container_that_must_not_be_root_waits_for_ever_where_its_image_is_for_root_and_the_next_one_starts(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    registry.add("app", "1", Cmd=["x"], User="root")
    refused, other = image(registry, run_as_non_root=True), image(registry)
    other.name = "other"
    with site.start(site.plan(refused, other, runtime=apptainer.runtime)) as runner:
        site.wait(lambda: site.reports() and (site.ends()["other"] or {}).get("exitCode") == 0)
        runner.terminate()
        assert runner.wait(20) == 1
    before = next(report for report in reversed(site.reports()) if "waiting" in report.containers[0]["state"])
    wait = before.containers[0]["state"]["waiting"]
    assert wait["reason"] == "CreateContainerConfigError"
    assert wait["message"] == (
        "container has runAsNonRoot and image has non-numeric user (root), cannot verify user is non-root "
        '(pod: "p_ns(u-1)", container: main)'
    )


def test_containers_may_name_one_image_with_different_pull_policies(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    registry.add("app", "1", Cmd=["x"])
    one, two = image(registry), image(registry, pull_policy="Always")
    two.name = "two"
    assert site.run(site.plan(one, two, runtime=apptainer.runtime)) == 0, site.said
    assert [end["exitCode"] for end in site.ends().values()] == [0, 0]
    assert len(cached(site)) == 1


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_private_image_needs_its_credential_and_the_one_that_fits_is_found(
    site: Site, registry: Registry, apptainer: Apptainer, scheme: str
) -> None:
    registry.scheme = scheme
    registry.add("team/app", "1", Cmd=["x"])
    apptainer.runtime.credentials = [
        PlanCredential(registry="elsewhere.example", username="x", password="y"),
        PlanCredential(registry=registry.address, username="alice", password="s3cret"),
        PlanCredential(registry=f"{registry.address}/team", username="bob", password="wrong"),
    ]
    site.run(site.plan(image(registry, "team/app:1"), runtime=apptainer.runtime))
    assert site.ends()["main"]["exitCode"] == 0
    words, config, mode = apptainer.pulls()[0]
    assert json.loads(config) == {"auths": {registry.address: {"auth": "YWxpY2U6czNjcmV0"}}}
    assert mode == "0o600"
    assert "s3cret" not in json.dumps(words)
    left = [path for path in site.images.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert not left
    assert not list(site.images.rglob("auth.json"))


def test_an_identity_token_opens_a_registry_too(site: Site, registry: Registry, apptainer: Apptainer) -> None:
    registry.scheme = "Bearer"
    registry.add("app", "1", Cmd=["x"])
    apptainer.runtime.credentials = [PlanCredential(registry=registry.address, token="identity")]
    site.run(site.plan(image(registry), runtime=apptainer.runtime))
    assert site.ends()["main"]["exitCode"] == 0


def test_a_cached_private_image_is_only_for_whom_the_registry_gave_it(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    """Kubernetes' own rule (KEP-2535): without it any pod could have what another one's secret fetched."""
    registry.scheme = "Basic"
    registry.users["bob"] = "b0b"
    registry.add("app", "1", Cmd=["x"])
    alice = PlanCredential(registry=registry.address, username="alice", password="s3cret")
    apptainer.runtime.credentials = [alice]
    site.run(site.plan(image(registry), runtime=apptainer.runtime))
    again(site)
    apptainer.runtime.credentials = []
    refused = _refused(site, site.plan(image(registry), runtime=apptainer.runtime))
    assert refused["reason"] == "ErrImagePull"
    assert "authentication required" in refused["message"]
    never = image(registry, pull_policy="Never")
    assert _refused(site, site.plan(never, runtime=apptainer.runtime))["reason"] == "ErrImageNeverPull"
    # Bob asks the registry once, and is known from then on.
    apptainer.runtime.credentials = [PlanCredential(registry=registry.address, username="bob", password="b0b")]
    for _ in range(2):
        site.run(site.plan(image(registry), runtime=apptainer.runtime))
        assert site.ends()["main"]["exitCode"] == 0
        asked = len(registry.asked)
        again(site)
    assert len(registry.asked) == asked
    assert len(apptainer.pulls()) == 1


def _refused(site: Site, plan: Path) -> dict[str, str]:
    """Run a pod whose image it may not have; return what its container waited for."""
    with site.start(plan) as runner:
        site.wait(lambda: waiting(site).get("reason", "ContainerCreating") != "ContainerCreating")
        found = waiting(site)
        runner.terminate()
        runner.wait(20)
    again(site)
    return found


@pytest.mark.parametrize(
    ("name", "policy", "reason", "words"),
    [
        ("missing:1", "IfNotPresent", "ErrImagePull", "manifest unknown"),
        ("missing:1", "Always", "ErrImagePull", "manifest unknown"),
        ("missing:1", "Never", "ErrImageNeverPull", "its pull policy is Never"),
        ("Upper:1", "IfNotPresent", "InvalidImageName", "couldn't parse image name"),
        ("broken:1", "IfNotPresent", "ErrImagePull", "no space left on device"),
    ],
)
def test_an_image_that_cannot_be_had_is_waited_for_in_the_registrys_or_the_runtimes_words(
    site: Site, registry: Registry, apptainer: Apptainer, name: str, policy: Any, reason: str, words: str
) -> None:
    registry.add("broken", "1", Cmd=["x"])
    apptainer.words.write_text("INFO: unpacking\nFATAL:   no space left on device\n")
    found = _refused(site, site.plan(image(registry, name, pull_policy=policy), runtime=apptainer.runtime))
    assert found["reason"] == reason
    assert words in found["message"]
    assert name in found["message"]
    assert "INFO" not in found["message"]
    assert not cached(site)


def test_a_registry_that_does_not_answer_is_said_so(site: Site, apptainer: Apptainer) -> None:
    apptainer.runtime.insecure_registries = ["127.0.0.1:9"]
    container = PlanContainer(name="main", image="docker://127.0.0.1:9/app:1")
    assert "Connection refused" in _refused(site, site.plan(container, runtime=apptainer.runtime))["message"]


def test_plain_http_is_spoken_with_no_registry_that_the_site_does_not_name(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    apptainer.runtime.insecure_registries = []
    registry.add("app", "1", Cmd=["x"])
    assert "SSL" in _refused(site, site.plan(image(registry), runtime=apptainer.runtime))["message"]


@pytest.mark.parametrize("missing", ["program", "cache"])
def test_a_node_without_the_runtime_or_the_cache_is_said_in_the_waiting_state(
    site: Site, registry: Registry, apptainer: Apptainer, missing: str
) -> None:
    registry.add("app", "1", Cmd=["x"])
    if missing == "program":
        apptainer.runtime.executable = "/nonexistent/apptainer"
    else:
        apptainer.runtime.image_cache = "/proc/nowhere"
    found = _refused(site, site.plan(image(registry), runtime=apptainer.runtime))
    assert "No such file" in found["message"]


def test_a_second_job_waits_for_the_first_ones_pull_and_then_has_its_image(
    site: Site, registry: Registry, apptainer: Apptainer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    registry.add("app", "1", Cmd=["x"])
    other = Site(tmp_path_factory.mktemp("other"))
    apptainer.hold.touch()
    with (
        site.start(site.plan(image(registry), runtime=apptainer.runtime)) as first,
        other.start(other.plan(image(registry), runtime=apptainer.runtime), job="8") as second,
    ):
        site.wait(lambda: "another job's pull" in waiting(site).get("message", "") + waiting(other).get("message", ""))
        apptainer.hold.unlink()
        assert (first.wait(20), second.wait(20)) == (0, 0)
    assert len(apptainer.pulls()) == 1


def test_a_pull_that_nobody_waits_for_any_more_ends_and_leaves_nothing(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    registry.add("app", "1", Cmd=["x"])
    apptainer.hold.touch()
    process = site.start(site.plan(image(registry), runtime=apptainer.runtime))
    site.wait(lambda: cached(site))
    began = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert time.monotonic() - began < 10
    assert not cached(site)


def test_a_puller_that_was_killed_leaves_no_lock_and_what_else_it_left_goes(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    registry.add("app", "1", Cmd=["x"])
    apptainer.hold.touch()
    process = site.start(site.plan(image(registry), runtime=apptainer.runtime))
    site.wait(lambda: cached(site))
    process.kill()
    process.communicate(timeout=20)
    assert [name.split("/")[0] for name in cached(site)] == ["partial"]
    apptainer.hold.unlink()
    again(site)
    assert site.run(site.plan(image(registry), runtime=apptainer.runtime)) == 0
    assert len(cached(site)) == 1
    assert not (site.images / "partial" / "x").exists()
    assert not list((site.images / "partial").iterdir())


def test_the_waiting_state_says_how_large_the_image_is_and_how_far_its_pull(
    site: Site, registry: Registry, apptainer: Apptainer
) -> None:
    registry.add("app", "1", Cmd=["x"])
    apptainer.hold.touch()
    process = site.start(site.plan(image(registry), runtime=apptainer.runtime))
    site.wait(lambda: "so far" in waiting(site).get("message", ""))
    message = waiting(site)["message"]
    assert message.startswith(f"Pulling image docker://{registry.address}/app:1 (5 MB in 1 layer), ")
    assert message.endswith(" s so far: starting")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)


@pytest.mark.parametrize("policy", ["IfNotPresent", "Always"])
def test_images_without_a_digest_are_kept_by_their_names(site: Site, apptainer: Apptainer, policy: Any) -> None:
    container = PlanContainer(name="main", image="library://user/app:1", pull_policy=policy, command=["c"])
    for _ in range(2):
        site.run(site.plan(container, runtime=apptainer.runtime))
        assert apptainer.ran_with()[0][-1] == "c"
        again(site)
    assert len(apptainer.pulls()) == (2 if policy == "Always" else 1)
    assert len(cached(site)) == 1


def test_what_a_credential_opened_of_such_images_is_only_for_who_has_it(site: Site, apptainer: Apptainer) -> None:
    container = PlanContainer(name="main", image="oras://private.example/app:1", command=["c"])
    for user in ("alice", "bob", "alice"):
        apptainer.runtime.credentials = [PlanCredential(registry="private.example", username=user, password="p")]
        site.run(site.plan(container, runtime=apptainer.runtime))
        again(site)
    assert len(apptainer.pulls()) == 2


def test_a_path_is_used_as_the_file_that_it_leads_to(
    site: Site, apptainer: Apptainer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    images = tmp_path_factory.mktemp("site")
    (images / "a-1.sif").write_text("image")
    (images / "a.sif").symlink_to("a-1.sif")
    site.run(site.plan(PlanContainer(name="main", image=str(images / "a.sif")), runtime=apptainer.runtime))
    assert str(images / "a-1.sif") in apptainer.ran_with()[0]
    assert not apptainer.pulls()


@pytest.mark.parametrize("kind", ["folder", "link to a folder", "device", "nothing", "a job's file", "link to a job's"])
def test_a_path_that_is_no_image_file_of_the_site_is_refused_in_words(
    site: Site, apptainer: Apptainer, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    path = tmp_path_factory.mktemp("site") / "x.sif"
    (site.job / "volumes.sif").write_text("made by a pod")
    if kind == "folder":
        path.mkdir()
    elif kind.startswith("link"):
        path.symlink_to("/etc" if "folder" in kind else site.job / "volumes.sif")
    elif kind == "a job's file":
        path = site.job / "volumes.sif"
    elif kind == "device":
        path = Path("/dev/null")
    found = _refused(site, site.plan(PlanContainer(name="main", image=str(path)), runtime=apptainer.runtime))
    assert found["reason"] == "ErrImageNeverPull"
    assert f"{path} is no image file" in found["message"]
    assert not apptainer.pulls()


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


def test_a_sub_path_that_leads_out_of_its_volume_is_a_start_error(site: Site) -> None:
    mounts = [PlanMount(volume="e", mount_path="/m", sub_path="../../../etc")]
    site.run(site.plan(shell("true", mounts=mounts), volumes=[PlanVolume(name="e", kind="emptyDir")]))
    assert site.ends()["main"]["reason"] == "StartError"
    assert "leads out of volume e" in site.ends()["main"]["message"]


def test_the_host_has_no_images(site: Site) -> None:
    site.run(site.plan(shell("true"), runtime=PlanRuntime(kind="none")))
    assert site.last().containers[0]["imageID"] == ""
    assert list(site.images.iterdir()) == []
