"""What a pod asks of Slurm."""

from typing import Any

import pytest

from interlink.core.errors import UnsupportedPod
from interlink.core.resources import JobResources, job_resources
from interlink.wire.pod import Pod
from tests.unit.core.pods import make_pod


def _asks(
    limits: dict[str, Any] | None = None, requests: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    return {"resources": {"limits": limits, "requests": requests}, **fields}


def _job(pod: Pod) -> JobResources:
    return job_resources(pod, default_cpu="1", default_memory="1Gi")


def test_containers_are_summed_and_rounded_up_once() -> None:
    pod = make_pod(_asks({"cpu": "600m", "memory": "1500k"}), _asks({"cpu": "600m", "memory": "1Mi"}, name="b"))
    assert _job(pod) == JobResources(cpus=2, memory_mib=3, time_limit_minutes=None)


def test_a_limit_counts_before_a_request_and_the_default_where_nothing_is_said() -> None:
    pod = make_pod(_asks({"cpu": 2}, {"cpu": 1, "memory": "2Gi"}))
    assert _job(pod) == JobResources(cpus=2, memory_mib=2048, time_limit_minutes=None)
    assert _job(make_pod({}, {"name": "b"})) == JobResources(cpus=2, memory_mib=2048, time_limit_minutes=None)


def test_zero_means_that_nothing_is_said() -> None:
    assert _job(make_pod(_asks({"cpu": "0", "memory": 0}))).memory_mib == 1024


def test_init_containers_come_before_and_sidecars_beside_the_rest() -> None:
    def init(name: str, cpu: int, **fields: str) -> dict[str, Any]:
        return {"name": name, "resources": {"limits": {"cpu": cpu}}, **fields}

    pod = make_pod(
        _asks({"cpu": 2}),
        initContainers=[init("first", 3), init("sidecar", 1, restartPolicy="Always"), init("last", 4)],
    )
    assert _job(pod).cpus == 5  # last beside the sidecar
    assert _job(make_pod(_asks({"cpu": 8}), initContainers=[init("first", 3)])).cpus == 8


def test_the_overhead_comes_on_top() -> None:
    assert _job(make_pod(_asks({"cpu": 1, "memory": "1Gi"}), overhead={"memory": "1Mi"})).memory_mib == 1025


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 1), (60, 1), (61, 2), (3600, 60)])
def test_the_deadline_is_rounded_up_to_minutes(seconds: int, minutes: int) -> None:
    assert _job(make_pod(activeDeadlineSeconds=seconds)).time_limit_minutes == minutes


def test_a_resource_that_is_not_mapped_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedPod, match=r'"main" asks for nvidia.com/gpu \(1\), which is not mapped on this site'):
        _job(make_pod(_asks({"nvidia.com/gpu": "1"})))
    assert _job(make_pod(_asks({"nvidia.com/gpu": "0", "ephemeral-storage": "1Gi"}))).cpus == 1


@pytest.mark.parametrize(
    ("limits", "words"), [({"cpu": "-1"}, "negative"), ({"memory": "lots"}, "no Kubernetes quantity")]
)
def test_what_makes_no_sense_is_refused(limits: dict[str, str], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        _job(make_pod(_asks(limits)))
