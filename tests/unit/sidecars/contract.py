"""What every sidecar keeps to, whatever is behind it: the tests that the mock and the Slurm backend share.

A test class inherits ``BackendContract`` and gives the fixture ``backend``.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from interlink.sidecars.backend import Backend, CursorExpired, Deleted, NotFound
from interlink.wire.messages import (
    CLUSTER_ANNOTATION,
    EXTENSION_CHANGES,
    EXTENSION_UPDATE,
    LogRequest,
    PodStatus,
    RetrievedPodData,
)
from interlink.wire.pod import Container, ObjectMeta, Pod, PodSpec

UID = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"


def make_pod(uid: str = UID, **spec: Any) -> Pod:
    """Return a pod of two containers."""
    containers = [Container(name=name, image="busybox", command=["true"]) for name in ("first", "second")]
    return Pod(
        metadata=ObjectMeta(name="p", namespace="ns", uid=uid, annotations={CLUSTER_ANNOTATION: "c1"}),
        spec=PodSpec(containers=containers, nodeName="vk", restartPolicy="Never", **spec),
    )


def wait_for_status(backend: Backend, uid: str, good: Callable[[PodStatus], bool], within: float = 10) -> PodStatus:
    """Follow the changes until the pod's status is good."""
    deadline = time.monotonic() + within
    changes = backend.changes(None, 0)
    seen: list[PodStatus] = []
    while time.monotonic() < deadline:
        for status in changes.statuses:
            if uid == status.UID:
                seen.append(status)
                if good(status):
                    return status
        changes = backend.changes(changes.cursor, 1.0)
    raise AssertionError(f"no such status of {uid} within {within} s; seen: {seen}")


class BackendContract:
    """Create, delete and status by UID, idempotent; changes by cursor."""

    def test_create_answers_the_pods_own_uid_and_one_job_however_often(self, backend: Backend) -> None:
        replies = [backend.create(RetrievedPodData(pod=make_pod())) for _ in range(3)]
        assert {reply.PodUID for reply in replies} == {UID}
        assert len({reply.PodJID for reply in replies}) == 1

    def test_create_at_once_from_several_threads_is_one_job(self, backend: Backend) -> None:
        jobs: set[str] = set()

        def create() -> None:
            jobs.add(backend.create(RetrievedPodData(pod=make_pod())).PodJID)

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(jobs) == 1

    def test_a_status_has_every_container_in_order_and_says_whose_pod_it_is(self, backend: Backend) -> None:
        backend.create(RetrievedPodData(pod=make_pod()))
        (status,) = backend.statuses([make_pod()])
        assert [container["name"] for container in status.containers] == ["first", "second"]
        assert (status.name, status.namespace, status.cluster, status.node) == ("p", "ns", "c1", "vk")
        assert status.ended is False

    def test_unknown_pods_are_left_out(self, backend: Backend) -> None:
        backend.create(RetrievedPodData(pod=make_pod()))
        assert [status.UID for status in backend.statuses([make_pod(OTHER), make_pod()])] == [UID]

    def test_an_update_is_for_a_pod_that_has_not_ended(self, backend: Backend) -> None:
        with pytest.raises(NotFound):
            backend.update(RetrievedPodData(pod=make_pod()))
        backend.create(RetrievedPodData(pod=make_pod()))
        backend.update(RetrievedPodData(pod=make_pod()))
        backend.delete(make_pod())
        wait_for_status(backend, UID, lambda status: status.ended)
        with pytest.raises(NotFound):
            backend.update(RetrievedPodData(pod=make_pod()))

    def test_a_deleted_pod_ends(self, backend: Backend) -> None:
        backend.create(RetrievedPodData(pod=make_pod()))
        backend.delete(make_pod())
        assert wait_for_status(backend, UID, lambda status: status.ended).UID == UID
        backend.delete(make_pod())

    def test_a_pod_that_was_deleted_first_is_never_started(self, backend: Backend) -> None:
        backend.delete(make_pod())
        with pytest.raises(Deleted):
            backend.create(RetrievedPodData(pod=make_pod()))

    def test_changes_wait_for_one_and_then_tell_only_that(self, backend: Backend) -> None:
        cursor = backend.changes(None, 0).cursor
        assert backend.changes(cursor, 0.01).statuses == []
        timer = threading.Timer(0.05, backend.create, [RetrievedPodData(pod=make_pod())])
        timer.start()
        try:
            assert {status.UID for status in backend.changes(cursor, 10).statuses} == {UID}
        finally:
            timer.join()

    def test_a_cursor_of_another_run_has_expired(self, backend: Backend) -> None:
        for cursor in ("another:1", "", "no cursor", f"{backend.changes(None, 0).cursor}999"):
            with pytest.raises(CursorExpired):
                backend.changes(cursor, 0)

    def test_logs_of_what_is_not_there_are_not_found(self, backend: Backend) -> None:
        backend.create(RetrievedPodData(pod=make_pod()))
        for uid, container in ((OTHER, "first"), (UID, "nobody")):
            request = LogRequest(Namespace="ns", PodUID=uid, PodName="p", ContainerName=container)
            with pytest.raises(NotFound):
                next(iter(backend.logs(request)))

    def test_ping_tells_the_total_capacity_and_that_changes_can_be_followed(self, backend: Backend) -> None:
        reply = backend.ping()
        assert reply.status == "ok"
        assert reply.extensions is not None
        assert {EXTENSION_CHANGES, EXTENSION_UPDATE} <= set(reply.extensions)
        assert reply.resources is not None
        assert reply.resources.cpu
        assert reply.resources.memory
        assert reply.resources.pods
