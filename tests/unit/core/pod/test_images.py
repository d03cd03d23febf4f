"""A container's image as the runtime takes it, and when it is pulled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.pod.images import image_name, pull_policy
from interlink.wire.pod import Container

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
