"""Where and how large a job is: every source in the documented order, by the site's rules."""

from typing import Any

import pytest

from interlink.core.errors import UnsupportedPod
from interlink.core.job.flavors import Flavor
from interlink.core.job.gres import GresTable
from interlink.core.job.placement import Placement, place
from interlink.core.job.policy import FlagPolicy
from interlink.core.job.rules import JobRules, NamespaceRules
from interlink.wire.messages import NODE_FLAVOR_ANNOTATION, NODE_PARTITION_ANNOTATION
from tests.unit.core.pods import make_pod

VK, KNOC = "slurm-job.vk.io/", "slurm-job.knoc.io/"
GPU = {"nvidia.com/gpu": 2}


def asks(limits: dict[str, Any]) -> dict[str, Any]:
    return {"resources": {"limits": limits}}


def placed(
    container: dict[str, Any] | None = None,
    rules: JobRules | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Placement:
    pod = make_pod(container or {}, annotations=annotations, **spec)
    return place(pod, rules or JobRules(), grace=30)


def test_the_readme_example_of_every_generation_of_interlink() -> None:
    text = "--job-name=test-pod-cfg -t 2800  --ntasks=8 --nodes=1 --mem-per-cpu=2000"
    found = placed(asks({"memory": "100Mi", "cpu": 2}), annotations={KNOC + "flags": text})
    assert (found.name, found.time.limit_minutes, found.tasks, found.nodes) == ("test-pod-cfg", 2800, 8, 1)
    assert (found.cpus, found.memory_mib, found.options) == (2, 100, {})


def test_the_order_of_the_sources() -> None:
    rules = JobRules(
        flags={"partition": "site", "account": "site", "qos": "site", "reservation": "site", "constraint": "site"},
        namespaces={"ns": NamespaceRules(flags={"partition": "ns", "account": "ns", "qos": "ns", "reservation": "ns"})},
        flavors={"f": Flavor(name="f", flags={"partition": "flavor", "account": "flavor", "qos": "flavor"})},
        default_flavor="f",
    )
    found = placed(
        rules=rules,
        nodeSelector={VK + "partition": "selector", VK + "account": "selector"},
        annotations={VK + "flags": "-p flags"},
    )
    assert (found.constraint, found.reservation, found.qos, found.account, found.partition) == (
        "site", "ns", "flavor", "selector", "flags",
    )  # fmt: skip
    both = {VK + "flags": "-p flags -n 2 -N 2", VK + "partition": "own", VK + "tasks": "4"}
    found = placed(rules=rules, annotations=both)
    assert (found.partition, found.tasks, found.nodes) == ("own", 4, 2)


def test_the_node_s_partition_counts_before_the_flavor_s_and_after_the_pod_s_own() -> None:
    rules = JobRules(
        namespaces={"ns": NamespaceRules(flags={"partition": "ns"})},
        flavors={"f": Flavor(name="f", flags={"partition": "flavor", "qos": "flavor"})},
        default_flavor="f",
    )
    on_node = {NODE_PARTITION_ANNOTATION: "node"}
    found = placed(rules=rules, annotations=on_node)
    assert (found.partition, found.qos) == ("node", "flavor")
    for own in ({VK + "flags": "-p own"}, {VK + "partition": "own"}):
        assert placed(rules=rules, annotations={**on_node, **own}).partition == "own"
    assert placed(rules=rules, annotations=on_node, nodeSelector={VK + "partition": "own"}).partition == "own"


def test_the_node_s_partition_is_held_to_the_policy_because_a_pod_could_have_written_it() -> None:
    on_node = {NODE_PARTITION_ANNOTATION: "node"}
    with pytest.raises(UnsupportedPod, match=r"^the virtual node: --partition is not allowed on this site"):
        placed(rules=JobRules(policy=FlagPolicy(refused=frozenset({"partition"}))), annotations=on_node)
    with pytest.raises(UnsupportedPod, match="this site sets --partition=x"):
        placed(rules=JobRules(policy=FlagPolicy(forced={"partition": "x"})), annotations=on_node)


def test_what_is_forced_stands_above_everything_and_a_pod_that_says_otherwise_is_refused() -> None:
    rules = JobRules(
        policy=FlagPolicy(forced={"account": "site"}),
        namespaces={"ns": NamespaceRules(forced={"qos": "low"}), "*": NamespaceRules(flags={"qos": "other"})},
    )
    assert (placed(rules=rules).account, placed(rules=rules).qos) == ("site", "low")
    with pytest.raises(UnsupportedPod, match=r"the annotation slurm-job.vk.io/qos: --qos=high is not allowed"):
        placed(rules=rules, annotations={VK + "qos": "high"})
    with pytest.raises(UnsupportedPod, match=r"nodeSelector slurm-job.vk.io/account: --account=x is not allowed"):
        placed(rules=rules, nodeSelector={VK + "account": "x"})
    assert place(make_pod(), JobRules(namespaces={"*": NamespaceRules(flags={"qos": "o"})}), grace=0).qos == "o"


def test_a_refused_flag_is_named_with_its_annotation() -> None:
    with pytest.raises(UnsupportedPod, match=r"annotation slurm-job\.vk\.io/flags: --uid is never possible"):
        placed(annotations={KNOC + "flags": "--uid=0"})
    with pytest.raises(UnsupportedPod, match=r"slurm-job\.vk\.io/partition: .*cannot be printed"):
        placed(annotations={VK + "partition": "a\nb"})


def test_the_containers_own_amounts_count_before_flags_and_flags_before_flavors() -> None:
    rules = JobRules(flavors={"f": Flavor(name="f", cpus=6, memory_mib=6000)}, default_flavor="f")
    flags = {VK + "flags": "-c 4 --mem=4G"}
    said = placed(asks({"cpu": 1, "memory": "1Gi"}), rules, flags)
    assert (said.cpus, said.memory_mib) == (1, 1024)
    assert (placed({}, rules, flags).cpus, placed({}, rules, flags).memory_mib) == (4, 4096)
    assert (placed({}, rules).cpus, placed({}, rules).memory_mib) == (6, 6000)
    assert (placed().cpus, placed().memory_mib) == (1, 1024)


def test_the_runner_has_memory_beside_the_containers_but_not_beside_a_whole_jobs_size() -> None:
    flavors = {"f": Flavor(name="f", memory_mib=6000)}
    assert placed(asks({"memory": "1Gi"}), JobRules(runner_memory_mib=256)).memory_mib == 1024 + 256
    assert placed({}, JobRules(runner_memory_mib=256)).memory_mib == 1024 + 256
    assert placed({}, JobRules(runner_memory_mib=256, flavors=flavors, default_flavor="f")).memory_mib == 6000
    assert placed({}, JobRules(runner_memory_mib=256), {VK + "flags": "--mem=4G"}).memory_mib == 4096


def test_memory_per_cpu_counts_for_all_cores_of_a_node() -> None:
    found = placed(annotations={VK + "flags": "-N2 -n 8 -c 2 --mem-per-cpu=100"})
    assert found.memory_mib == 4 * 2 * 100


def test_tasks_are_at_least_one_on_each_node() -> None:
    assert placed(annotations={VK + "nodes": "3"}).tasks == 3
    found = placed(annotations={VK + "flags": "-N 3 --ntasks-per-node=4"})
    assert (found.tasks, found.options) == (12, {"ntasks-per-node": "4"})


@pytest.mark.parametrize(
    ("rules", "spec", "gres"),
    [
        (JobRules(), {}, ("gpu:2",)),
        (JobRules(gres=GresTable(types={"NVIDIA-A100": "a100"})),
         {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100"}}, ("gpu:a100:2",)),
        (JobRules(), {"nodeSelector": {VK + "gres-type": "h100"}}, ("gpu:h100:2",)),
        (JobRules(flavors={"f": Flavor(name="f", gres_type="v100")}, default_flavor="f"), {}, ("gpu:v100:2",)),
        (JobRules(), {"annotations": {VK + "flags": "--gres=gpu:t4:1,fpga"}}, ("fpga:1", "gpu:t4:2")),
        (JobRules(gres=GresTable({"nvidia.com/gpu": "gpu:a30"})), {}, ("gpu:a30:2",)),
    ],
)  # fmt: skip
def test_gpus_become_gres_typed_where_something_says_which(
    rules: JobRules, spec: dict[str, Any], gres: tuple[str, ...]
) -> None:
    found = placed(asks(GPU), rules, **spec)
    assert found.gres == gres
    assert not found.gpus_for_all


def test_a_type_that_the_site_does_not_know_is_refused() -> None:
    with pytest.raises(UnsupportedPod, match=r"nodeSelector nvidia\.com/gpu\.product: 'X' has no GRES type"):
        placed(asks(GPU), nodeSelector={"nvidia.com/gpu.product": "X"})


@pytest.mark.parametrize("flags", ["--gres=gpu:1", "--gpus-per-node=a100:1", "-G 1", "-N2 --gpus=4"])
def test_gpus_that_only_flags_ask_for_are_shown_to_all_containers(flags: str) -> None:
    assert placed(annotations={VK + "flags": flags}).gpus_for_all


def test_gpus_of_one_node_are_gres_and_of_several_an_option() -> None:
    assert placed(annotations={VK + "flags": "-G a100:2"}).gres == ("gpu:a100:2",)
    assert placed(annotations={VK + "flags": "-N 2 -G 4"}).options == {"gpus": "4"}


def test_ephemeral_storage_becomes_tmp_where_the_site_has_it() -> None:
    pod = asks({"ephemeral-storage": "1Gi"})
    assert placed(pod).tmp_mib == 1024
    assert placed(pod, JobRules(disk_as_tmp=False)).tmp_mib == 0
    assert placed(pod, annotations={VK + "flags": "--tmp=2G"}).tmp_mib == 2048


def test_time_signal_and_requeue() -> None:
    found = placed(annotations={VK + "flags": "-t 10 --requeue --signal=B:TERM@120 --exclusive"})
    assert (found.time.limit_minutes, found.time.signal) == (10, "B:TERM@120")
    assert found.requeue
    assert found.options == {"exclusive": ""}
    assert not placed(annotations={VK + "flags": "--requeue --no-requeue"}).requeue


@pytest.mark.parametrize(
    ("policy", "flags", "requeue"),
    [("Always", "", True), ("OnFailure", "", True), ("Never", "", False), ("Never", "--requeue", True),
     ("Always", "--no-requeue", False)],
)  # fmt: skip
def test_a_pod_that_may_be_restarted_may_be_requeued(policy: str, flags: str, requeue: bool) -> None:
    assert placed(annotations={VK + "flags": flags}, restartPolicy=policy).requeue == requeue


FLAVORS = {
    "cpu": Flavor(name="cpu", flags={"partition": "cpu"}),
    "one": Flavor(name="one", flags={"gres": "gpu:1"}),
    "two": Flavor(name="two", flags={"gres": "gpu:2"}),
    "big": Flavor(name="big", node_selector={"size": "big"}),
    "theirs": Flavor(name="theirs", namespaces=frozenset({"other"})),
}


@pytest.mark.parametrize(
    ("container", "spec", "chosen"),
    [
        ({}, {}, "cpu"),
        (asks({"nvidia.com/gpu": 2}), {}, "two"),
        (asks({"nvidia.com/gpu": 3}), {}, "one"),
        (asks({"nvidia.com/gpu": 2}), {"nodeSelector": {"size": "big", "type": "x"}}, "big"),
        (asks({"nvidia.com/gpu": 2}), {"annotations": {VK + "flavor": "cpu"}}, "cpu"),
        ({}, {"nodeSelector": {VK + "flavor": "one"}}, "one"),
    ],
)
def test_the_flavor_that_a_pod_gets(container: dict[str, Any], spec: dict[str, Any], chosen: str) -> None:
    found = placed(container, JobRules(flavors=FLAVORS, default_flavor="cpu"), **spec)
    assert found.flavor == FLAVORS[chosen]


def test_the_flavor_of_a_namespace_counts_before_its_gpus() -> None:
    rules = JobRules(flavors=FLAVORS, namespaces={"ns": NamespaceRules(flavor="big")})
    assert placed(asks(GPU), rules).flavor == FLAVORS["big"]


def test_the_node_s_flavor_counts_before_the_namespace_s_and_after_the_pod_s_own() -> None:
    rules = JobRules(flavors=FLAVORS, namespaces={"ns": NamespaceRules(flavor="big")}, default_flavor="cpu")
    on_node = {NODE_FLAVOR_ANNOTATION: "one"}
    assert placed(rules=rules, annotations=on_node).flavor == FLAVORS["one"]
    assert placed(rules=rules, annotations={**on_node, VK + "flavor": "cpu"}).flavor == FLAVORS["cpu"]
    with pytest.raises(UnsupportedPod, match="flavor 'theirs' is not for pods of namespace ns"):
        placed(rules=rules, annotations={NODE_FLAVOR_ANNOTATION: "theirs"})


def test_a_flavor_that_is_not_there_or_not_for_the_namespace_is_refused() -> None:
    rules = JobRules(flavors=FLAVORS)
    with pytest.raises(UnsupportedPod, match="flavor 'huge' is not known on this site; there are: big, cpu, one"):
        placed({}, rules, {VK + "flavor": "huge"})
    with pytest.raises(UnsupportedPod, match="flavor 'theirs' is not for pods of namespace ns"):
        placed({}, rules, {VK + "flavor": "theirs"})


def test_an_annotation_that_nobody_reads_is_refused() -> None:
    with pytest.raises(UnsupportedPod, match=r"slurm-job\.vk\.io/flag is unknown; the nearest one is .*/flags"):
        placed(annotations={VK + "flag": "-p x"})
    with pytest.raises(UnsupportedPod, match=r"singularity-commands is not carried out here: .*use pre-exec"):
        placed(annotations={VK + "singularity-commands": "x"})
    with pytest.raises(UnsupportedPod, match="say different things"):
        placed(annotations={VK + "flags": "-p a", KNOC + "flags": "-p b"})
    assert placed(annotations={VK + "flags": "-p a", KNOC + "flags": "-p a", "else/where": "x"}).partition == "a"


def test_the_partitions_that_jobs_may_come_to() -> None:
    assert JobRules().partitions() == ""
    flavors = {"f": Flavor(name="f", flags={"partition": "gpu"}), "g": Flavor(name="g", flags={"partition": "a,gpu"})}
    assert JobRules(flavors=flavors).partitions() == ",gpu,a,gpu"
    assert JobRules(flags={"partition": "main"}, flavors={"f": flavors["f"]}).partitions() == "main,gpu"
    assert JobRules(flavors=flavors, policy=FlagPolicy(forced={"partition": "x"})).partitions() == "x"


def test_what_the_site_offers_by_kubernetes_names() -> None:
    table = GresTable({"nvidia.com/gpu": "gpu", "amd.com/gpu": "gpu:mi250", "x/fpga": "fpga"})
    assert table.offered({"gpu:a100": 4, "gpu": 1, "gpu:mi250": 8, "shard": 9}) == {
        "nvidia.com/gpu": 5,
        "amd.com/gpu": 8,
    }
    assert GresTable().offered({"gpu:a100": 4}) == {"nvidia.com/gpu": 4}
