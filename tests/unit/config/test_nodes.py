"""The virtual nodes of a configuration: one or several, and what is refused before kube-apiserver would."""

from pathlib import Path

import pytest

from interlink.config import Config, ConfigError, NodeTaint, load_config
from interlink.config.nodes import node_settings


def nodes_of(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "InterLinkConfig.yaml"
    file.write_text(text)
    return load_config(file, environ={})


def test_without_nodes_there_is_the_one_of_node_name(tmp_path: Path) -> None:
    (node,) = node_settings(nodes_of(tmp_path, "NodeName: hpc\nNodeLabels: {site: a}\nKubeletPort: 10300"))
    assert (node.name, node.port, node.labels) == ("hpc", 10300, {"site": "a"})
    assert node.taints == (NodeTaint(key="virtual-node.interlink/no-schedule", value="true"),)


def test_the_walltime_and_jiriaf_s_labels_come_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("NodeLabels: {jiriaf.site: file}")
    environ = {"JIRIAF_WALLTIME": "3600", "JIRIAF_NODETYPE": "cpu", "JIRIAF_SITE": "Local"}
    (node,) = node_settings(load_config(file, environ))
    assert (node.walltime, node.drain) == (3600, 600.0)
    assert node.labels == {"jiriaf.nodetype": "cpu", "jiriaf.site": "file"}
    (node,) = node_settings(load_config(file, {"JIRIAF_WALLTIME": "0"}))
    assert (node.walltime, node.labels) == (0, {"jiriaf.site": "file"})


def test_several_nodes_differ_where_they_say_something_and_have_a_port_each(tmp_path: Path) -> None:
    config = nodes_of(
        tmp_path,
        """
NodeName: not-a-node
NodeLabels: {site: a, kind: cpu}
Resources: {CPU: "8"}
Nodes:
  cpu: {}
  gpu:
    Labels: {kind: gpu}
    Taints: [{Key: gpus-only, Effect: NoExecute}]
    Resources: {CPU: "64", Memory: 1Ti}
  free: {Taints: [], KubeletPort: 12000}
""",
    )
    cpu, gpu, free = node_settings(config)
    assert [(node.name, node.port) for node in (cpu, gpu, free)] == [("cpu", 10250), ("gpu", 10251), ("free", 12000)]
    assert (cpu.labels, gpu.labels) == ({"site": "a", "kind": "cpu"}, {"site": "a", "kind": "gpu"})
    assert (cpu.resources.cpu, gpu.resources.memory) == ("8", "1Ti")
    assert [taint.key for taint in gpu.taints] == ["gpus-only"]
    assert free.taints == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NodeName: Big_Node", "key NodeName: 'Big_Node' is no name of a node"),
        (f"NodeName: {'n' * 64}", "is no name of a node"),
        ("Nodes: {a..b: {}}", "key Nodes: 'a..b' is no name of a node"),
        ("NodeLabels: {a b: c}", "key NodeLabels: a b: 'c' is no label"),
        ("Nodes: {n: {Labels: {a: b/c}}}", "key Nodes.n.Labels: a: 'b/c' is no label"),
        ("NodeTaints: [{Key: a, Effect: Never}]", "key NodeTaints: Effect 'Never' of a is none of NoSchedule"),
        ("NodeTaints: [{Value: a}]", "key NodeTaints: Key '' with Value 'a' is no taint"),
        ("Resources: {Memory: lots}", "key Resources.Memory: 'lots' is no amount"),
        ("Nodes: {n: {Resources: {CPU: '-1'}}}", "key Nodes.n.Resources.CPU: '-1' is no amount"),
        ("Nodes: {a: {KubeletPort: 10251}, b: {}}", "nodes a and b both have 10251"),
        ("Resources: {Pods: '1.5'}", "key Resources.Pods: '1.5' is no amount"),
        ("Resources: {Accelerators: [{ResourceType: gpu, Available: 1}]}", "'gpu' is no extended resource"),
        ("Resources: {Accelerators: [{ResourceType: a/b, Available: 500m}]}", "Accelerators.a/b: '500m' is no amount"),
        ("Walltime: 90", "key Walltime (JIRIAF_WALLTIME): must be a multiple of 60 seconds, and is 90"),
        (
            "Walltime: 60\nLeaderElectionLease: l",
            "leave out LeaderElectionLease in a batch job, and Walltime in a Deployment",
        ),
        ("Site: a b", "key NodeLabels: jiriaf.site: 'a b' is no label"),
        ("KubeletPort: 65535\nNodes: {a: {}, b: {}}", "node b would have port 65536"),
    ],
)
def test_what_kubernetes_would_refuse_is_refused_by_its_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        node_settings(nodes_of(tmp_path, text))
    assert words in str(caught.value)
