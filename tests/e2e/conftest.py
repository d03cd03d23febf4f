"""The end-to-end tests' fixtures: the deployed test bed, and a namespace of its own for each test."""

import uuid
from collections.abc import AsyncIterator, Generator, Iterator

import pytest

from tests.demo.__main__ import deploy
from tests.e2e.cluster import Cluster
from tests.e2e.controlplane import ControlPlane, own_control_plane
from tests.e2e.scene import Scene, scene
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.errors import TestbedError


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here, so that `-m "not e2e"` leaves it out."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def bed() -> Bed:
    """Return the test bed with the project deployed on it; brings up what is not there."""
    bed = Bed()
    deploy(bed)
    return bed


@pytest.fixture
def slurm(bed: Bed) -> Slurm:
    return Slurm(bed)


@pytest.fixture
def cluster(bed: Bed, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A fresh namespace; what a failed test left is shown, and everything is removed."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    bed.kubectl("create", "namespace", name)
    wait_for(
        "the namespace's service account",
        lambda: bed.kubectl("-n", name, "get", "serviceaccount", "default", "--ignore-not-found", "-o", "name"),
    )
    yield Cluster(bed, name)
    if getattr(request.node, "failed_call", False):
        print(bed.kubectl("-n", name, "describe", "pods"))
        print(bed.site(["journalctl", "--no-pager", "-n", "60", "-u", "interlink-api", "-u", "interlink-slurm"]))
        print(bed.kubectl("-n", "interlink", "logs", "--tail=60", "-l", "app.kubernetes.io/name=interlink-vk"))
    # Finished pods need no waiting for; a job that is left over is what other tests are about.
    bed.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of the module's own; of the bed only its programs are needed."""
    bed = Bed()
    try:
        running = bed.docker.inspect("container", bed.layout.cluster.container)
    except TestbedError:
        running = None
    if not running:
        deploy(bed)
    with own_control_plane(bed, tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture
async def world(plane: ControlPlane) -> AsyncIterator[Scene]:
    """A namespace and a node of the test's own on that control plane."""
    async with scene(plane) as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know whether their test failed."""
    report = yield
    if report.when == "call" and report.failed:
        item.failed_call = True  # type: ignore[attr-defined]
    return report
