"""``interlink vk``: started as its forebears were, by their flags, files and environment."""

import logging
from pathlib import Path

import pytest

from interlink.cli import seeds
from interlink.cli.main import build_parser, main
from interlink.cli.vk import loader
from interlink.config import Config, ConfigError
from interlink.config.nodes import NodeSettings, node_settings


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("interlink.config.load.DEFAULT_PATHS", (Path("InterLinkConfig.yaml"),))
    for name in ("NODENAME", "KUBECONFIG", "VK_CONFIG_PATH", "INTERLINKCONFIGPATH", "VKUBELET_POD_IP", "KUBELET_PORT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def started(*flags: str) -> Config:
    config, _ = loader(build_parser().parse_args(["vk", *flags]))()
    return config


def node(*flags: str) -> NodeSettings:
    (found,) = node_settings(started(*flags))
    return found


def test_flags_win_over_the_environment_and_that_over_the_file(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nowhere / "InterLinkConfig.yaml").write_text("NodeName: file\nPodIP: 10.0.0.1\nKubeletPort: 1\nKubeconfig: /file")
    assert (node().name, node().address, node().port) == ("file", "10.0.0.1", 1)
    for name, value in (("NODENAME", "env"), ("VKUBELET_POD_IP", "10.0.0.2"), ("KUBELET_PORT", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KUBECONFIG", "/env")
    assert (node().name, node().address, node().port) == ("env", "10.0.0.2", 2)
    assert started().kubeconfig == Path("/env")
    config = started("--nodename", "flag", "--kubeconfig=/flag", "--startup-timeout", "1m30s", "--disable-taint")
    assert (config.node_name, config.kubeconfig, config.startup_timeout) == ("flag", Path("/flag"), 90.0)
    assert config.node_taints == []


def test_a_start_line_of_each_forebear_is_taken(nowhere: Path) -> None:
    (nowhere / "knoc-cfg.json").write_text('{"vk": {"cpu": "4", "memory": "32Gi", "pods": "128"}}')
    knoc = ["--nodename", "vk", "--provider", "knoc", "--provider-config", "knoc-cfg.json", "--startup-timeout", "10s"]
    jiriaf = ["--nodename", "vk", "--provider", "mock", "--klog.v", "3"]
    generic = ["--nodename=vk", "--log-level", "debug", "--klog.logtostderr", "--klog.log_dir=/x", "--os", "Linux",
               "--enable-node-lease=true", "--pod-sync-workers", "10"]  # fmt: skip
    for flags in (knoc, jiriaf, generic):
        assert node(*flags).name == "vk"
    resources = node(*knoc).resources
    assert (resources.cpu, resources.memory, resources.pods) == ("4", "32Gi", "128")


def test_a_flag_without_a_meaning_is_said_and_one_that_nobody_knows_is_wrong_use() -> None:
    options = build_parser().parse_args(
        [
            "vk",
            "--provider",
            "knoc",
            "--logtostderr",
            "--klog.alsologtostderr=true",
            "--klog.log_dir=/x",
            "--vmodule=a=1",
        ]
    )
    assert options.meaningless == [
        "flag --provider means nothing here: there is one provider here, InterLink",
        "flag --klog.log_dir means nothing here: the log goes to stderr, in one form",
        "flag --vmodule means nothing here: the log goes to stderr, in one form",
    ]
    with pytest.raises(SystemExit):
        build_parser().parse_args(["vk", "--no-such-flag"])


def test_dashes_of_their_own_before_the_flags_are_let_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vk", "--", "--nodename", "Bad_Name"]) == 2
    assert "key NodeName: 'Bad_Name' is no name of a node" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ([], None),
        (["-v", "2"], logging.INFO),
        (["-v=4"], logging.DEBUG),
        (["--v=10"], logging.DEBUG),
        (["--klog.v", "0"], logging.INFO),
        (["--log-level", "warn"], logging.WARNING),
        (["--log-level", "error", "-v", "3"], logging.INFO),
        (["--log-level", "trace"], logging.DEBUG),
    ],
)
def test_klog_s_numbers_and_the_log_level_are_ours(flags: list[str], level: int | None) -> None:
    assert seeds.log_level(build_parser().parse_args(["vk", *flags])) == level


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10.0), ("1m30s", 90.0), ("0", 0.0), ("1.5h", 5400.0)])
def test_a_time_is_go_s(text: str, seconds: float) -> None:
    assert seeds.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1s2", "ten"])
def test_what_is_no_time_is_wrong_use(text: str) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(["vk", f"--startup-timeout={text}"])
    assert caught.value.code == 2


def test_the_provider_configuration_may_be_the_service_s_own_file(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = nowhere / "vk.yaml"
    file.write_text("NodeName: in-file\nInterlinkPort: 3333")
    assert started("--provider-config", str(file)).interlink_port == 3333
    monkeypatch.setenv("VK_CONFIG_PATH", str(file))
    assert node().name == "in-file"
    other = nowhere / "other.yaml"
    other.write_text("NodeName: other")
    assert node("--config", str(other)).name == "other"


def test_the_table_of_nodes_counts_for_those_it_names_and_before_resources(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = nowhere / "knoc-cfg.json"
    table.write_text('{"a": {"cpu": 4, "others": {"nvidia.com/gpu": "2"}}, "c": {"cpu": "9"}}')
    monkeypatch.setenv("VK_CONFIG_PATH", str(table))
    (nowhere / "InterLinkConfig.yaml").write_text(
        "Resources: {CPU: '1', Memory: 7Gi}\nNodes: {a: {}, b: {}, c: {Resources: {CPU: '2'}}}"
    )
    a, b, c = node_settings(started())
    assert (a.resources.cpu, a.resources.memory) == ("4", "7Gi")
    assert [(each.resource_type, each.available) for each in a.resources.accelerators] == [("nvidia.com/gpu", "2")]
    assert (b.resources.cpu, c.resources.cpu) == ("1", "2")
    (only,) = node_settings(started("--nodename", "b"))
    assert only.name == "b"
    with pytest.raises(ConfigError, match="flag --nodename: x is none of Nodes: a, b, c"):
        started("--nodename", "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"interlink": {"cpu": "many"}}', "interlink.CPU: 'many' is no amount"),
        ('{"interlink": "4"}', "interlink: must hold amounts"),
        ('{"interlink": {"cpus": "4"}}', "interlink: unknown field cpus; there are: cpu, memory, pods, others"),
        ('{"interlink": {"others": {"gpu": "4"}}}', "'gpu' is no extended resource"),
        ('{"interlink": {"cpu": []}}', "every amount be a text or a number"),
        ("[1]", "must hold keys with values"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(nowhere: Path, text: str, words: str) -> None:
    table = nowhere / "knoc-cfg.json"
    table.write_text(text)
    with pytest.raises(ConfigError) as caught:
        node("--provider-config", str(table))
    assert words in str(caught.value)
    with pytest.raises(ConfigError, match="no such file"):
        node("--provider-config", str(nowhere / "none.json"))
