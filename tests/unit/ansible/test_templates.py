"""What the templates become: units that systemd reads, a configuration that the services take, least rights."""

import configparser
import json
from pathlib import Path

import pytest
import yaml

from interlink.config import load_config
from interlink.config.jobs import job_rules
from interlink.sidecars.slurm.transport.remote import agent_words
from tests.unit.ansible.rendering import NODE, ROOT, objects, render

UNITS = ("edge/interlink-api.service.j2", "edge/interlink-slurm.service.j2")


def unit(template: str, **given: object) -> configparser.SectionProxy:
    """Return a rendered unit's [Service] section."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(render(template, **given))
    return parser["Service"]


@pytest.mark.parametrize("template", UNITS)
def test_units_run_unprivileged_and_hardened(template: str) -> None:
    service = unit(template)
    assert service["User"] == "interlink"
    assert service["Type"] == "notify"
    assert service["CapabilityBoundingSet"] == ""
    assert service["ProtectSystem"] == "strict"
    assert service["UMask"] == "0077"


def test_only_the_sidecar_writes_and_only_where_it_must() -> None:
    assert "ReadWritePaths" not in unit(UNITS[0])
    assert unit(UNITS[1])["ReadWritePaths"] == "/var/lib/interlink /srv/interlink"


#: Settings that are seccomp filters: until systemd 255 they imply NoNewPrivileges (systemd.exec(5) of release 252).
FILTERS = {
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "PrivateDevices",
    "ProtectClock",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SystemCallArchitectures",
    "SystemCallErrorNumber",
    "SystemCallFilter",
}


def test_with_users_of_jobs_the_sidecar_leaves_out_what_keeps_sudo_from_working_and_no_more() -> None:
    strict, open_ = unit(UNITS[1]), unit(UNITS[1], slurm_sidecar_job_users=["alice"])
    assert set(strict) - set(open_) == {"NoNewPrivileges"}
    assert {key for key in open_ if open_[key] != strict[key]} == {"CapabilityBoundingSet", "SystemCallFilter"}
    assert open_["SystemCallFilter"] == "@system-service"
    assert open_["CapabilityBoundingSet"].split() == [
        "CAP_SETUID",
        "CAP_SETGID",
        "CAP_DAC_READ_SEARCH",
        "CAP_AUDIT_WRITE",
    ]


@pytest.mark.parametrize(("release", "filtered"), [(252, False), (254, False), (255, True)])
def test_with_users_of_jobs_an_old_systemd_gets_no_seccomp_filter(release: int, filtered: bool) -> None:
    found = {"systemd": release}
    strict = unit(UNITS[1], slurm_sidecar_found=found)
    open_ = unit(UNITS[1], slurm_sidecar_job_users=["alice"], slurm_sidecar_found=found)
    assert set(strict) >= FILTERS, "without such users, whatever the release"
    assert set(open_) & FILTERS == (FILTERS if filtered else set())
    assert set(strict) - set(open_) == {"NoNewPrivileges"} | (set() if filtered else FILTERS)


def test_users_of_jobs_change_nothing_for_the_api() -> None:
    assert render(UNITS[0], slurm_sidecar_job_users=["alice"]) == render(UNITS[0])


def test_sudoers_names_the_users_and_the_sidecars_own_command_alone() -> None:
    text = render("edge/sudoers.j2", slurm_sidecar_job_users=["alice", "bob"])
    (rule,) = (line for line in text.splitlines() if not line.startswith("#"))
    who, _, command = rule.partition(" NOPASSWD: ")
    assert who == "interlink ALL=(alice, bob)"
    words = " ".join(agent_words("/opt/interlink/venv/bin/python"))
    assert not set(words) & set("\\,:*?[]#!"), "sudoers would read those its own way"
    assert command == words.replace("=", r"\=")
    assert text.endswith("\n")


def test_folders_below_home_stay_reachable() -> None:
    assert unit(UNITS[1])["ProtectHome"] == "yes"
    assert unit(UNITS[1], interlink_shared_folder="/home/interlink")["ProtectHome"] == "read-only"


def test_the_sidecars_environment_is_quoted() -> None:
    assert 'Environment="SLURM_CONF=/opt/my slurm/slurm.conf"' in render(
        UNITS[1], slurm_sidecar_environment={"SLURM_CONF": "/opt/my slurm/slurm.conf"}
    )


def test_services_take_the_edges_configuration(tmp_path: Path) -> None:
    file = tmp_path / "InterLinkConfig.yaml"
    file.write_text(render("edge/InterLinkConfig.yaml.j2", interlink_config={"SlurmPartition": "main"}))
    config = load_config(file)
    assert config.slurm_partition == "main"
    assert config.interlink_token_file == Path("/etc/interlink/vk-tokens")
    assert str(config.data_root_folder) == "/srv/interlink"


def test_the_variables_about_jobs_become_the_sites_rules(tmp_path: Path) -> None:
    file = tmp_path / "InterLinkConfig.yaml"
    given = {
        "interlink_flavors": {"gpu": {"Partition": "gpu", "SlurmFlags": ["--gres=gpu:1"]}},
        "interlink_default_flavor": "gpu",
        "interlink_job_namespaces": {"physics": {"Account": "phys", "User": "alice"}},
        "interlink_flags_forced": ["--qos=k8s"],
        "interlink_gres_types": {"NVIDIA-A100": "a100"},
        "interlink_run_as_user_ranges": ["1000-1999"],
        "interlink_pre_exec_namespaces": ["physics"],
    }
    file.write_text(render("edge/InterLinkConfig.yaml.j2", **given))
    rules = job_rules(load_config(file))
    assert rules.flavors["gpu"].flags == {"partition": "gpu", "gres": "gpu:1"}
    assert (rules.default_flavor, rules.of_namespace("physics").user) == ("gpu", "alice")
    assert (rules.policy.forced, rules.gres.types) == ({"qos": "k8s"}, {"NVIDIA-A100": "a100"})
    assert rules.identity.run_as_user == ((1000, 1999),)
    assert rules.pre_exec == {"physics"}
    assert rules.gres.names["nvidia.com/gpu"] == "gpu", "an empty variable leaves the default"


def test_virtual_kubelets_take_theirs(tmp_path: Path) -> None:
    (config_map,) = objects("cluster/configmap.yaml.j2")
    file = tmp_path / "InterLinkConfig.yaml"
    file.write_text(config_map["data"]["InterLinkConfig.yaml"])
    assert load_config(file).node_name == "hpc"


def test_kubernetes_objects_parse_and_are_named() -> None:
    for template in sorted((ROOT / "templates" / "cluster").iterdir()):
        for item in objects(f"cluster/{template.name}"):
            assert item["apiVersion"]
            assert item["kind"]
            assert item["metadata"]["name"]


@pytest.mark.parametrize("name", ["123", "1e5", "no", "null", "0x1f", "2026-11-22"])
def test_a_name_that_yaml_takes_for_something_else_stays_a_name(name: str) -> None:
    def everything(name: str) -> str:
        node = NODE | {"name": name, "nodes": [name], "object_labels": {"app.kubernetes.io/instance": name}}
        templates = sorted((ROOT / "templates" / "cluster").iterdir())
        given = {"interlink_namespace": name, "cluster_nodes": [node]}
        return json.dumps([objects(f"cluster/{template.name}", **given) for template in templates])

    assert everything(name) == everything("plain-word").replace("plain-word", name)


def test_objects_of_two_virtual_nodes_do_not_meet() -> None:
    other = NODE | {"name": "gpu", "nodes": ["gpu"], "object": "vk-gpu", "cluster_object": "interlink-vk-gpu"}
    for template in (
        "rbac",
        "configmap",
        "secret",
        "deployment",
        "poddisruptionbudget",
        "lease",
        "node",
        "certificatesigningrequest",
    ):
        found = objects(f"cluster/{template}.yaml.j2", cluster_nodes=[NODE, other])
        names = [(item["kind"], item["metadata"]["name"]) for item in found]
        assert len(set(names)) == len(names)


def test_the_node_and_its_lease_are_changed_by_name_only() -> None:
    for item in objects("cluster/rbac.yaml.j2"):
        for rule in item.get("rules", []):
            named = {"nodes", "nodes/status", "leases", "certificatesigningrequests"}
            if named & set(rule["resources"]) and rule["verbs"] != ["create"]:
                elected = item["metadata"].get("namespace") == "interlink"
                assert rule["resourceNames"] == ["vk-hpc" if elected else "hpc"]
            if {"secrets", "configmaps"} & set(rule["resources"]):
                assert rule["verbs"] == ["get"]
            assert "*" not in rule["verbs"]


def test_the_token_stands_in_the_secret_alone() -> None:
    (secret,) = objects("cluster/secret.yaml.j2")
    assert secret["data"]["token"] == "dDBrZW4="
    for template in ("rbac", "configmap", "deployment", "flowschema"):
        assert "t0ken" not in yaml.safe_dump(objects(f"cluster/{template}.yaml.j2"))


def test_the_deployment_rolls_for_configuration_token_and_image() -> None:
    def annotations(**given: object) -> dict[str, str]:
        (deployment,) = objects("cluster/deployment.yaml.j2", **given)
        found: dict[str, str] = deployment["spec"]["template"]["metadata"]["annotations"]
        return found

    before = annotations()
    assert annotations(cluster_nodes=[NODE | {"config": "NodeName: x\n"}]) != before
    assert annotations(cluster_tokens={"edge1": "another"}) != before
    assert annotations(cluster_nodes=[NODE | {"image_id": "sha256:1"}]) != before


def test_the_virtual_kubelet_keeps_off_virtual_nodes() -> None:
    (deployment,) = objects("cluster/deployment.yaml.j2")
    pod = deployment["spec"]["template"]["spec"]
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}]
    assert "tolerations" not in pod
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_kubeconfig_parses() -> None:
    token = {"server": "https://192.0.2.9:6443", "ca_data": "Q0E=", "token": "t0ken", "expires": "2030-01-01T00:00:00Z"}
    config = yaml.safe_load(render("edge/kubeconfig.yaml.j2", kubeconfig_token=token))
    assert config["clusters"][0]["cluster"]["server"] == "https://192.0.2.9:6443"
    assert config["users"][0]["user"]["token"] == "t0ken"
