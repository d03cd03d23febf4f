"""kustomizations/ is what the role makes, and its Deployment outlives drains, rollouts and a killed replica."""

import re
from typing import Any

import pytest
import yaml

from interlink.config import load_config
from tests.demo import kustomizations
from tests.demo.kustomizations import INSTALL, PILOT, Kustomization
from tests.unit.ansible.rendering import NODE, objects

Json = dict[str, Any]


def kustomization(which: Kustomization = INSTALL) -> Json:
    found: Json = yaml.safe_load((which.folder / "kustomization.yaml").read_text())
    return found


def manifests(which: Kustomization = INSTALL, **settings: str) -> list[Json]:
    texts = [kustomizations.manifest(name, which, **settings) for name in which.manifests]
    return [item for text in texts for item in yaml.safe_load_all(text) if item]


def put(item: Any, path: str, value: str) -> int:
    """Replace what a kustomize fieldPath finds, as kustomize does; return in how many places."""
    step, _, rest = path.partition(".")
    keys: list[Any] = [int(step) if step.isdigit() else step]
    if step == "*":
        keys = list(range(len(item)))
    elif match := re.fullmatch(r"\[(\w+)=(\w+)\]", step):
        keys = [number for number, each in enumerate(item) if each[match[1]] == match[2]]
    if rest:
        return sum(put(item[key], rest, value) for key in keys)
    for key in keys:
        assert key in item or isinstance(item, list), path
        item[key] = value
    return len(keys)


def selected(item: Json, select: Json) -> bool:
    facts = {"kind": item["kind"], "name": item["metadata"]["name"], "namespace": item["metadata"].get("namespace")}
    return all(facts[key] == value for key, value in select.items())


both = pytest.mark.parametrize("which", [INSTALL, PILOT], ids=lambda which: which.folder.name)


@both
def test_the_manifests_are_those_of_the_role(which: Kustomization) -> None:
    for name in which.manifests:
        text = (which.folder / f"{name}.yaml").read_text()
        assert text == kustomizations.manifest(name, which), "run `make kustomizations`"


@both
def test_every_manifest_is_a_resource(which: Kustomization) -> None:
    assert sorted(kustomization(which)["resources"]) == sorted(f"{name}.yaml" for name in which.manifests)


@both
def test_namespace_and_node_set_once_reach_every_place_that_holds_them(which: Kustomization) -> None:
    settings = {"namespace": "other", "node": "hpc"}
    original, items = manifests(which), manifests(which)
    for entry in kustomization(which)["replacements"]:
        value = settings[entry["source"]["fieldPath"].removeprefix("data.")]
        for target in entry["targets"]:
            hits = [item for item, as_was in zip(items, original, strict=True) if selected(as_was, target["select"])]
            assert hits, target["select"]
            assert all(put(item, path, value) for item in hits for path in target["fieldPaths"])
    expected = manifests(which, **settings)
    for item in (*items, *expected):
        if item["kind"] == "FlowSchema":
            item["metadata"].pop("name")  # the role calls it after the namespace; here it may stay as it is
    assert items == expected


def test_the_configuration_is_one_that_the_virtual_kubelet_takes() -> None:
    (generated,) = (entry for entry in kustomization()["configMapGenerator"] if entry["name"] != "site")
    assert (generated["name"], generated["files"]) == ("vk-interlink-config", ["InterLinkConfig.yaml"])
    # The replacements find it by this one; made by them instead, a namespace of digits only would be a number.
    assert generated["namespace"] == INSTALL.namespace
    (deployment,) = (item for item in manifests() if item["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environ = {entry["name"]: entry.get("value", "10.0.0.1") for entry in container["env"]}
    config = load_config(INSTALL.folder / "InterLinkConfig.yaml", environ)
    assert (config.node_name, config.kubelet_port, config.health_port) == ("interlink", 10250, 10248)
    assert str(config.vk_token_file).startswith(container["volumeMounts"][1]["mountPath"])
    assert config.leader_election_lease == "vk-interlink"


def test_the_image_s_tag_stands_in_quotes_so_that_digits_put_there_are_a_text() -> None:
    """`newTag: 1.10` is a number, and kustomize takes none: "cannot unmarshal number into Go struct field"."""
    text = (INSTALL.folder / "kustomization.yaml").read_text()
    assert re.search(r'newTag: "[^"]+"', text)
    (image,) = kustomization()["images"]
    assert yaml.safe_load(text.replace(image["newTag"], "1.10"))["images"][0]["newTag"] == "1.10"


def test_kustomize_renames_nothing_that_it_should_not() -> None:
    """A generated ConfigMap gets another name, and a Role's resourceNames that equals the old one, too."""
    generated = {entry["name"] for entry in kustomization()["configMapGenerator"]}
    named = [rule.get("resourceNames") or [] for item in manifests() for rule in item.get("rules", [])]
    assert not generated & {name for names in named for name in names}


def rights(which: Kustomization) -> set[tuple[str, str, tuple[str, ...]]]:
    """Return (verb, resource, names) of all that its ServiceAccount is given."""
    return {
        (verb, resource, tuple(rule.get("resourceNames") or ()))
        for item in manifests(which, node="n")
        for rule in item.get("rules", [])
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }


def test_only_a_virtual_kubelet_in_a_batch_job_may_remove_its_node_and_it_elects_nobody() -> None:
    assert rights(PILOT) - rights(INSTALL) == {("delete", "nodes", ("n",))}
    assert rights(INSTALL) - rights(PILOT) == {(verb, "leases", ("vk-interlink",)) for verb in ("get", "update")}
    assert not any("delete" in rule["verbs"] and "nodes" in rule["resources"]
                   for item in objects("cluster/rbac.yaml.j2") for rule in item.get("rules", []))  # fmt: skip


def deployed() -> tuple[Json, Json]:
    (deployment,) = objects("cluster/deployment.yaml.j2")
    pod: Json = deployment["spec"]["template"]["spec"]
    return deployment, pod


def test_a_rollout_takes_no_replica_away_before_another_is_ready() -> None:
    deployment, _ = deployed()
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"] == {
        "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }  # fmt: skip


def test_drains_take_one_replica_at_a_time() -> None:
    deployment, pod = deployed()
    (budget,) = objects("cluster/poddisruptionbudget.yaml.j2")
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]
    assert (budget["spec"]["maxUnavailable"], budget["spec"]["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    (term,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["labelSelector"] == deployment["spec"]["selector"]


def test_probes_ask_what_every_replica_answers() -> None:
    _, pod = deployed()
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    environ = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert str(ports["health"]) == environ["HEALTH_PORT"]
    for probe, path in {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}.items():
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "health"}


def test_the_election_may_touch_its_own_lease_alone() -> None:
    roles = [item for item in objects("cluster/rbac.yaml.j2") if item["kind"] == "Role"]
    (own,) = (role for role in roles if role["metadata"]["namespace"] == "interlink")
    _, pod = deployed()
    environ = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in own["rules"]] == [
        (["create"], None), (["get", "update"], [environ["LEADER_ELECTION_LEASE"]]),
    ]  # fmt: skip
    assert all(rule["resources"] == ["leases"] for rule in own["rules"])


def test_nodes_and_leases_go_first_on_a_busy_apiserver() -> None:
    first, rest = objects("cluster/flowschema.yaml.j2")
    levels = [
        (item["spec"]["priorityLevelConfiguration"]["name"], item["spec"]["matchingPrecedence"])
        for item in (first, rest)
    ]
    # Before kube-apiserver's own "service-accounts" (9000), which would send all of it to workload-low.
    assert levels == [("node-high", 350), ("system", 550)]
    (rules,) = first["spec"]["rules"]
    assert {name: rule.get("namespaces") for rule in rules["resourceRules"] for name in rule["resources"]} == {
        "nodes": None, "nodes/status": None, "leases": ["kube-node-lease", "interlink"],
    }  # fmt: skip


def test_each_node_of_one_virtual_kubelet_is_named_in_its_rights() -> None:
    several = [NODE | {"nodes": ["hpc", "gpu"]}]
    named = [
        rule["resourceNames"]
        for item in objects("cluster/rbac.yaml.j2", cluster_nodes=several)
        for rule in item.get("rules", [])
        if "resourceNames" in rule and rule["resourceNames"] not in (["kube-system"], ["vk-hpc"])
    ]
    assert named == [["hpc", "gpu"]] * 4
    for removed in ("node", "certificatesigningrequest"):
        found = objects(f"cluster/{removed}.yaml.j2", cluster_nodes=several)
        assert [item["metadata"]["name"] for item in found] == ["hpc", "gpu"]
