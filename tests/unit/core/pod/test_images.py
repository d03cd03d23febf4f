"""A container's image as the runtime takes it, when it is pulled, and what a status shows once it has changed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.job.facts import JobFacts
from interlink.core.plan import PlanImage, Report
from interlink.core.pod.facts import PodFacts
from interlink.core.pod.images import changed_images, image_name, pull_policy
from interlink.core.status import pod_status
from interlink.wire.pod import Container
from tests.unit.core.pods import UID, make_pod

OWN = "/data"


@pytest.mark.parametrize(
    ("image", "policy", "planned"),
    [
        ("busybox", "", "Always"),
        ("busybox:latest", "", "Always"),
        ("host:5000/busybox", "", "Always"),
        ("host:5000/busybox:1", "", "IfNotPresent"),
        ("busybox@sha256:0", "", "IfNotPresent"),
        ("busybox:latest", "Never", "Never"),
        ("/images/x.sif", "", "IfNotPresent"),
    ],
)
def test_the_pull_policy_is_kubernetes_default(image: str, policy: str, planned: str) -> None:
    assert pull_policy("container", Container(name="main", image=image, imagePullPolicy=policy)) == planned


@pytest.mark.parametrize(
    "image",
    ["", " ", "--bind", "-", "a b", "a\nb", "/", "//", "/data", "/data/jobs", "/data/jobs/u/x.sif", "/data/spool/x",
     "/data/images/0.sif", "/data/runner/x.pyz", "/x/../data", "/../data", "/proc/self/root", "/proc", "docker://../x",
     "../x", "a/../../b", "instance://other", "docker-daemon://x"],
)  # fmt: skip
def test_an_image_that_opens_the_site_or_is_an_option_is_refused(image: str) -> None:
    with pytest.raises(UnsupportedPod):
        image_name("container", image, "", OWN)


@pytest.mark.parametrize(
    ("prefix", "image"),
    [
        ("/cvmfs/images/", "../../etc"),
        ("/cvmfs/images/", ".."),
        ("/data/", "x"),
        ("/", "proc/self/root"),
        ("/da", "ta"),
    ],
)
def test_the_prefix_leads_to_no_place_that_the_name_alone_could_not_name(prefix: str, image: str) -> None:
    with pytest.raises(UnsupportedPod):
        image_name("container", image, prefix, OWN)


def test_a_path_is_normalised_with_and_without_the_prefix() -> None:
    assert image_name("container", "a//./x.sif", "/cvmfs/images/", OWN) == "/cvmfs/images/a/x.sif"
    assert image_name("container", "//database/x.sif", "docker://", OWN) == "/database/x.sif"


@given(st.text(max_size=30), st.sampled_from(["docker://", "/images/"]))
def test_no_image_name_is_an_option_or_a_relative_file(image: str, prefix: str) -> None:
    try:
        name = image_name("container", image, prefix, OWN)
    except UnsupportedPod:
        return
    assert name.startswith(("/", "docker://")) or "://" in name
    assert ".." not in name.split("/")


def _name_of(where: str, image: str) -> str:
    return image_name(where, image, "docker://", OWN)


@given(now=st.text(max_size=20), then=st.text(max_size=20))
def test_a_changed_image_is_one_that_a_create_would_take_or_says_why_not(now: str, then: str) -> None:
    """Whatever a pod says: its container gets nothing here that it could not have had from the beginning."""
    changed = changed_images(make_pod({"image": now}), {"main": then}, _name_of)
    assert bool(changed) == (now != then)
    for image in changed.values():
        assert image.said == now
        if image.refused:
            with pytest.raises(UnsupportedPod, match=re.escape(image.refused)):
                _name_of('container "main"', now)
            assert image.image == ""
        else:
            assert image.image == _name_of('container "main"', now)


def test_init_containers_count_and_a_container_that_was_not_created_has_nothing_to_change() -> None:
    pod = make_pod({"image": "b:2"}, initContainers=[{"name": "init", "image": "a:2"}])
    changed = changed_images(pod, {"init": "a:1"}, _name_of)
    assert changed == {"init": PlanImage(said="a:2", image="docker://a:2")}


def test_a_status_shows_the_image_that_runs_and_not_the_one_that_the_pod_was_created_with() -> None:
    facts = PodFacts(namespace="ns", name="p", uid=UID, containers=(("a", "busybox"), ("b", "alpine")))
    report = Report(uid=UID, job_id="12", sequence=1, time="", containers=[], images={"a": "busybox:2"})
    for job in (JobFacts(job_id=12, uid=UID, state="RUNNING"), JobFacts(job_id=12, uid=UID, state="PENDING")):
        status = pod_status(facts, job_id="12", job=job, report=report)
        assert [container["image"] for container in status.containers] == ["busybox:2", "alpine"]
