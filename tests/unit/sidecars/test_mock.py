"""The mock sidecar keeps to the contract, and ends pods as they ask."""

from collections.abc import Iterator

import pytest

from interlink.sidecars.mock.backend import EXIT_CODE, RUN_SECONDS, MockBackend
from interlink.wire.messages import RetrievedPodData
from tests.unit.sidecars.contract import UID, BackendContract, make_pod, wait_for_status


@pytest.fixture
def backend() -> Iterator[MockBackend]:
    backend = MockBackend()
    yield backend
    backend.close()


class TestMockBackend(BackendContract):
    """The contract, on the mock."""


def test_a_pod_that_asks_for_it_ends_by_itself_with_its_exit_code(backend: MockBackend) -> None:
    pod = make_pod()
    pod.metadata.annotations = {RUN_SECONDS: "0.05", EXIT_CODE: "3"}
    backend.create(RetrievedPodData(pod=pod))
    status = wait_for_status(backend, UID, lambda seen: seen.ended)
    assert [container["state"]["terminated"]["exitCode"] for container in status.containers] == [3, 3]
