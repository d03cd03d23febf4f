"""What a pod asks of Slurm."""

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.job.resources import JobResources, job_resources
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
    assert _job(pod) == JobResources(cpus=2, memory_mib=3)


def test_a_limit_counts_before_a_request_and_the_default_where_nothing_is_said() -> None:
    pod = make_pod(_asks({"cpu": 2}, {"cpu": 1, "memory": "2Gi"}))
    assert _job(pod) == JobResources(cpus=2, memory_mib=2048)
    silent = _job(make_pod({}, {"name": "b"}))
    assert silent == JobResources(cpus=2, memory_mib=2048, cpus_said=False, memory_said=False)


@given(st.integers(1, 2**70), st.integers(1, 10**15))
def test_memory_is_rounded_up_exactly_whole_bytes_or_not(whole: int, milli: int) -> None:
    pod = make_pod(_asks({"memory": str(whole)}), _asks({"memory": f"{milli}m"}, name="b"))
    assert _job(pod).memory_mib == math.ceil((whole + Fraction(milli, 1000)) / 2**20)


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


def test_requests_are_honoured_where_there_is_no_limit() -> None:
    pod = make_pod(_asks(None, {"cpu": "3", "memory": "5Gi"}))
    assert _job(pod) == JobResources(cpus=3, memory_mib=5 * 1024)


def test_zero_as_a_limit_leaves_the_request_to_count() -> None:
    assert _job(make_pod(_asks({"cpu": "0"}, {"cpu": "3"}))).cpus == 3


def test_memory_is_never_a_token_amount() -> None:
    assert _job(make_pod()).memory_mib == 1024
    assert _job(make_pod(_asks({"memory": "1"}))).memory_mib == 1, "what the pod says is what it gets"


@given(st.lists(st.integers(1, 64_000), min_size=1, max_size=8))
def test_the_job_has_the_sum_of_its_containers_and_not_their_maximum(millicores: list[int]) -> None:
    pod = make_pod(*(_asks({"cpu": f"{amount}m"}, name=f"c{at}") for at, amount in enumerate(millicores)))
    assert _job(pod).cpus == -(-sum(millicores) // 1000)


@given(st.lists(st.tuples(st.integers(1, 64), st.booleans()), max_size=6), st.integers(1, 64))
def test_init_containers_never_add_to_what_runs_after_them(inits: list[tuple[int, bool]], cpu: int) -> None:
    specs = [
        {"name": f"i{at}", "resources": {"limits": {"cpu": amount}}, "restartPolicy": "Always" if stays else None}
        for at, (amount, stays) in enumerate(inits)
    ]
    cpus = _job(make_pod(_asks({"cpu": cpu}), initContainers=specs)).cpus
    at_once = [
        sum(amount for amount, stays in inits[:at] if stays) + amount for at, (amount, _) in enumerate(inits)
    ] + [sum(amount for amount, stays in inits if stays) + cpu]
    assert cpus == max(at_once)


@pytest.mark.parametrize("source", ["limits", "requests"])
def test_a_gpu_is_refused_wherever_it_is_asked_for(source: str) -> None:
    gpu = {"resources": {source: {"nvidia.com/gpu": 1}}}
    with pytest.raises(UnsupportedPod, match=r'"main" asks for nvidia\.com/gpu'):
        _job(make_pod(gpu))
    with pytest.raises(UnsupportedPod, match=r'"init" asks for nvidia\.com/gpu'):
        _job(make_pod(initContainers=[{"name": "init", **gpu}]))


def test_an_overhead_can_take_nothing_from_the_containers() -> None:
    with pytest.raises(UnsupportedPod, match="the pod's overhead is a negative amount of cpu"):
        _job(make_pod(_asks({"cpu": 9}), overhead={"cpu": "-4"}))


def test_resources_of_the_sites_table_are_counted_in_pieces() -> None:
    pod = make_pod(
        _asks({"nvidia.com/gpu": "1"}),
        _asks(None, {"nvidia.com/gpu": 2, "example.com/fpga": "0"}, name="b"),
        initContainers=[{"name": "init", "resources": {"limits": {"nvidia.com/gpu": 4}}}],
        overhead={"nvidia.com/gpu": 1},
    )
    found = job_resources(
        pod, default_cpu="1", default_memory="1Gi", extended=frozenset({"nvidia.com/gpu", "example.com/fpga"})
    )
    assert found.extended == {"nvidia.com/gpu": 5}
    with pytest.raises(UnsupportedPod, match=r"1\.5 of nvidia\.com/gpu, which comes in whole pieces only"):
        job_resources(
            make_pod(_asks({"nvidia.com/gpu": "1500m"})),
            default_cpu="1",
            default_memory="1Gi",
            extended=frozenset({"nvidia.com/gpu"}),
        )


def test_ephemeral_storage_is_summed_in_mebibytes() -> None:
    assert (
        _job(make_pod(_asks({"ephemeral-storage": "1Gi"}), _asks({"ephemeral-storage": 1}, name="b"))).disk_mib == 1025
    )


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"cpu": "65534"}, r"the pod's cpu: 65534 is too large for Slurm \(0 to 65533\)"),
        ({"memory": "9E" + "i"}, "the pod's memory in MiB"),
        ({"memory": "1e99"}, "a number of more than 20 digits is too large"),
        ({"ephemeral-storage": "8Ei"}, "the pod's ephemeral-storage in MiB: 8796093022208 is too large"),
    ],
)
def test_what_slurms_fields_cannot_hold_is_refused_and_does_not_wrap_around(limits: dict[str, str], words: str) -> None:
    pod = make_pod(*(_asks(limits, name=f"c{at}") for at in range(1024 if "memory" in limits else 1)))
    with pytest.raises(UnsupportedPod, match=words):
        _job(pod)


def test_what_the_whole_pod_asks_for_is_the_jobs() -> None:
    two = ({"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}, {"name": "b"})
    small = {"requests": {"cpu": "1", "memory": "1Gi"}}
    large = {"requests": {"cpu": "4", "memory": "6Gi"}}
    limit = {"limits": {"cpu": "3", "memory": "5Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}
    assert sizes(make_pod(*two, resources=small)) == (1, 1024), "no default for who says nothing beside it"
    assert sizes(make_pod(*two, resources=large)) == (4, 6 * 1024)
    assert sizes(make_pod(*two, resources=limit)) == (3, 5 * 1024)
    bigger = ({"resources": {"limits": {"cpu": "8", "memory": "8Gi"}}},)
    assert sizes(make_pod(*bigger, resources=large)) == (8, 8 * 1024), "a request is the least"
    assert sizes(make_pod(*bigger, resources=limit, overhead={"cpu": "1"})) == (4, 5 * 1024), "a limit is the most"


def test_a_pod_that_says_its_size_as_a_whole_has_said_it() -> None:
    found = job_resources(make_pod(resources={"limits": {"cpu": "2"}}), default_cpu="1", default_memory="1Gi")
    assert (found.cpus, found.cpus_said, found.memory_said) == (2, True, False)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"limits": {"hugepages-2Mi": "4Mi"}}, r"the pod asks for hugepages-2Mi \(4Mi\), which is not mapped"),
        ({"requests": {"memory": "-1"}}, "the pod asks for a negative amount of memory"),
    ],
)
def test_what_the_whole_pod_cannot_ask_for_is_refused(resources: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        sizes(make_pod(resources=resources))


def sizes(pod: Pod) -> tuple[int, int]:
    found = job_resources(pod, default_cpu="1", default_memory="1Gi")
    return found.cpus, found.memory_mib
