"""The mock sidecar keeps to the contract, and ends pods as they ask."""

import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from interlink.sidecars.backend import Refused
from interlink.sidecars.mock import backend as mock
from interlink.sidecars.mock.backend import EXIT_CODE, RUN_SECONDS, MockBackend
from interlink.wire.messages import LogOptions, LogRequest, RetrievedPodData
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


def test_words_for_a_time_are_refused_and_nothing_runs(backend: MockBackend) -> None:
    pod = make_pod()
    pod.metadata.annotations = {RUN_SECONDS: "soon"}
    with pytest.raises(Refused, match="soon"):
        backend.create(RetrievedPodData(pod=pod))
    assert backend.statuses([pod]) == []


def test_thousands_of_pods_end_by_themselves_with_one_thread(backend: MockBackend) -> None:
    threads = threading.active_count()
    uids = [str(uuid.uuid4()) for _ in range(2000)]
    for number, uid in enumerate(uids):
        pod = make_pod(uid)
        pod.metadata.annotations = {RUN_SECONDS: f"{0.3 + number % 7 / 100}"}
        backend.create(RetrievedPodData(pod=pod))
    assert threading.active_count() <= threads
    for uid in uids:
        wait_for_status(backend, uid, lambda seen: seen.ended)


def test_a_followed_log_has_lines_with_the_time_until_the_pod_ends(
    backend: MockBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mock, "LINE_SECONDS", 0.01)
    backend.create(RetrievedPodData(pod=make_pod()))
    options = LogOptions(Follow=True)
    request = LogRequest(Namespace="ns", PodUID=UID, PodName="p", ContainerName="first", Opts=options)
    chunks = backend.logs(request)
    assert next(chunks) == b"this is the log of first in ns/p\n"
    assert abs(float(next(chunks)) - time.time()) < 5
    backend.delete(make_pod())
    assert len(list(chunks)) <= 1


def test_a_pods_deadline_ends_it_and_may_be_set_and_shortened_while_it_runs(backend: MockBackend) -> None:
    backend.create(RetrievedPodData(pod=make_pod(activeDeadlineSeconds=1000)))
    began = time.monotonic()
    for seconds in (900, 1):
        backend.update(RetrievedPodData(pod=make_pod(activeDeadlineSeconds=seconds)))
    status = wait_for_status(backend, UID, lambda seen: seen.ended)
    assert 0.5 < time.monotonic() - began < 5
    assert (status.reason, status.containers[0]["state"]["terminated"]["exitCode"]) == ("DeadlineExceeded", 143)


def test_a_container_whose_image_changes_is_started_again_with_it(backend: MockBackend) -> None:
    backend.create(RetrievedPodData(pod=make_pod()))
    newer = make_pod()
    newer.spec.containers[1].image = "busybox:2"
    for _ in range(2):
        backend.update(RetrievedPodData(pod=newer))
    (status,) = backend.statuses([newer])
    said = [(container["image"], container["restartCount"]) for container in status.containers]
    assert said == [("busybox", 0), ("busybox:2", 1)]
    assert "running" in status.containers[1]["state"]
