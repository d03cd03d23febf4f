"""The keys about jobs: read, checked with their names, and those of today's Slurm plugin with them."""

from pathlib import Path

import pytest
import yaml

from interlink.config import Config, ConfigError, load_config, load_with_notes
from interlink.config.jobs import job_rules, runtimes
from interlink.config.plugin import MEANINGLESS
from interlink.core.job.identity import IdentityPolicy
from interlink.core.job.rules import JobRules
from tests.demo.project import ROOT

#: What the plugin ships as its example, word for word in its keys.
PLUGINS_OWN = """
SidecarPort: "4000"
Socket: ""
SbatchPath: "/usr/bin/sbatch"
ScancelPath: "/usr/bin/scancel"
SqueuePath: "/usr/bin/squeue"
SinfoPath: "/usr/bin/sinfo"
CommandPrefix: ""
SingularityPrefix: ""
SingularityPath: "singularity"
ExportPodData: true
DataRootFolder: ".local/interlink/jobs/"
Namespace: "vk"
Tsocks: false
TsocksPath: "$WORK/tsocks-1.8beta5+ds1/libtsocks.so"
TsocksLoginNode: "login01"
BashPath: /bin/bash
VerboseLogging: true
ErrorsOnlyLogging: false
ContainerRuntime: singularity
EnrootDefaultOptions: ["--rw"]
EnrootPrefix: ""
EnrootPath: enroot
DefaultFlavor: "default"
Flavors:
  default:
    Name: "default"
    Description: "Standard CPU job (2 cores, 8GB RAM)"
    CPUDefault: 2
    MemoryDefault: "8G"
    SlurmFlags:
      - "--partition=normal"
  gpu-nvidia:
    Name: "gpu-nvidia"
    Description: "GPU job with NVIDIA GPU (4 cores, 32GB RAM, 1 GPU)"
    CPUDefault: 4
    MemoryDefault: "32G"
    UID: 1001
    SlurmFlags:
      - "--gres=gpu:1"
      - "--partition gpu"
"""


def rules(text: str, tmp_path: Path) -> JobRules:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return job_rules(load_config(file, {}))


def test_todays_plugins_own_file_is_read_and_says_what_means_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "SlurmConfig.yaml"
    file.write_text(PLUGINS_OWN)
    config, notes = load_with_notes(None, {"SLURMCONFIGPATH": str(file), "SBATCHPATH": "/opt/slurm/bin/sbatch"})
    assert config.sidecar_url == "http://127.0.0.1"
    assert config.sidecar_port == 4000
    assert config.data_root_folder == tmp_path / ".local/interlink/jobs"
    assert config.sbatch_path == "/opt/slurm/bin/sbatch"
    assert [note.split()[2] for note in notes] == ["ExportPodData", "Namespace", "DataRootFolder"]
    assert all(note.startswith(f"{file}: key ") for note in notes)
    flavors = job_rules(config).flavors
    assert (flavors["default"].cpus, flavors["default"].memory_mib) == (2, 8192)
    assert flavors["gpu-nvidia"].flags == {"gres": "gpu:1", "partition": "gpu"}
    assert (flavors["gpu-nvidia"].uid, flavors["gpu-nvidia"].gpus()) == (1001, 1)


def test_every_meaningless_key_is_accepted_and_explained(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(dict.fromkeys(MEANINGLESS, "x")))
    config, notes = load_with_notes(file, {})
    assert config == Config()
    assert len(notes) == len(MEANINGLESS)


def test_where_the_sidecar_listens_is_said_in_three_ways(tmp_path: Path) -> None:
    def url(text: str) -> str:
        (tmp_path / "c.yaml").write_text(text)
        return load_config(tmp_path / "c.yaml", {}).sidecar_url

    assert url("") == Config().sidecar_url
    assert url("Socket: unix:///a\nSidecarPort: 1") == "unix:///a"
    assert url("SidecarPort: 1") == "http://127.0.0.1"
    assert url("SidecarURL: unix:///b\nSocket: unix:///a\nSidecarPort: 1") == "unix:///b"


def test_the_sites_rules(tmp_path: Path) -> None:
    found = rules(
        """
        SlurmPartition: batch
        FlagsAllowed: [--partition, qos]
        FlagsForced: ["--account site", --comment-is-not-here=x]
        """.replace(", --comment-is-not-here=x", ""),
        tmp_path,
    )
    assert found.flags == {"partition": "batch"}
    assert found.policy.allowed == {"partition", "qos"}
    assert found.policy.refused == {"priority", "reboot"}
    assert found.policy.forced == {"account": "site"}
    found = rules(
        """
        Flavors: {gpu: {Partition: gpu, GresType: a100, NodeSelector: {a: b}, Namespaces: [x]}}
        Namespaces: {x: {Account: acc, Forced: [--qos=low], Flavor: gpu, User: alice}}
        RunAsUserRanges: [1000-1999, "5000"]
        DefaultUID: 1500
        """,
        tmp_path,
    )
    assert found.of_namespace("x").flags == {"account": "acc"}
    assert (found.of_namespace("x").forced, found.of_namespace("x").user) == ({"qos": "low"}, "alice")
    assert found.of_namespace("y").flags == {}
    assert found.identity == IdentityPolicy("1500", ((1000, 1999), (5000, 5000)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DefaultFlavor: x", "key DefaultFlavor: there is no flavor 'x'"),
        ("Namespaces: {a: {Flavor: x}}", r"key Namespaces.a.Flavor: there is no flavor 'x'"),
        ("Flavors: {a: {SlurmFlags: [--uid=0]}}", r"key Flavors.a: --uid is never possible"),
        ("Flavors: {a: {SlurmFlags: [--patition=0]}}", r"key Flavors.a: --patition is no option"),
        ("Flavors: {a: {UID: 0}}", "UID cannot be 0"),
        ("Flavors: {a: {MemoryDefault: 1024}}", r"key Flavors.a.MemoryDefault: '1024' is no memory of 1 MiB or more"),
        ("Flavors: {a: {MemoryDefault: lots}}", "'lots' is no memory"),
        ("FlagsForced: [x]", "key FlagsForced: 'x' belongs to no option"),
        ("FlagsRefused: [x]", "key FlagsRefused: 'x' is no long option"),
        ("Namespaces: {a: {User: root}}", "User cannot be root"),
        ("JobUser: root", "no job can be root's"),
        ("DefaultUID: 0", "no job can be root's"),
        ("{JobUser: a, DefaultUID: 5}", "set one of them"),
        ("RunAsUserRanges: [0-5]", "'0-5' is no range of users"),
        ("RunAsUserRanges: [9-5]", "'9-5' is no range of users"),
        ("MpiLauncher: sh", "must be srun or mpiexec"),
        ("GresMap: {a/b: 'gpu,x'}", "'gpu,x' is no name or type"),
        ("DefaultCPU: lots", "key DefaultCPU: .*no Kubernetes quantity"),
        ("RunnerMemory: -1Mi", "key RunnerMemory: must not be less than 0"),
        ("DefaultMemory: 0", "key DefaultMemory: must be more than 0"),
    ],
)
def test_a_mistake_names_its_key(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        rules(text, tmp_path)


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.config.yaml")), ids=lambda file: file.name)
def test_the_examples_are_good(file: Path) -> None:
    assert job_rules(load_config(file, {})).flavors


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ContainerRuntime: docker", "key ContainerRuntime: 'docker' is none of apptainer"),
        ("ContainerRuntime: none", "needs AllowHostRuntime"),
        ("InsecureRegistries: ['http://reg']", "key InsecureRegistries: 'http://reg' must be a host"),
    ],
)
def test_a_mistake_about_runtimes_names_its_key(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        runtimes(load_config(file, {}), image_cache="")


def test_registries_of_plain_http_reach_the_plan(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("InsecureRegistries: ['reg:5000']")
    assert runtimes(load_config(file, {}), image_cache="/i").insecure_registries == ("reg:5000",)
