"""InterLinkConfig.yaml: what a site writes arrives typed, and every mistake is named with its file and key."""

import contextlib
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.config import Config, ConfigError, NodeTaint, load_config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "InterLinkConfig.yaml"


def load(file: Path, text: str, **environ: str) -> Config:
    file.write_text(text)
    return load_config(file, environ)


def test_defaults_hold_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("interlink.config.load.DEFAULT_PATHS", (Path("none.yaml"),))
    assert load_config(None, {}) == Config()


def test_every_key_of_the_model_is_read_from_the_file(file: Path) -> None:
    config = load(
        file,
        """
        InterlinkURL: http://0.0.0.0
        InterlinkPort: "3001"
        DataRootFolder: /shared/interlink
        AllowHostRuntime: yes
        SlurmPollSeconds: 0.5
        SingularityDefaultOptions: [--nv]
        JobEnvironment: {APPTAINER_NOHTTPS: 1}
        NodeTaints: [{Key: a, Value: b, Effect: NoExecute}]
        Resources: {CPU: 128, Memory: 512Gi}
        """,
    )
    assert config.interlink_port == 3001
    assert config.data_root_folder == Path("/shared/interlink")
    assert config.allow_host_runtime is True
    assert config.slurm_poll_seconds == 0.5
    assert config.singularity_default_options == ["--nv"]
    assert config.job_environment == {"APPTAINER_NOHTTPS": "1"}
    assert config.node_taints == [NodeTaint(key="a", value="b", effect="NoExecute")]
    assert (config.resources.cpu, config.resources.memory, config.resources.pods) == ("128", "512Gi", "100")


def test_the_environment_wins_over_the_file(file: Path) -> None:
    config = load(file, "InterlinkPort: 1\nSidecarURL: unix:///a", INTERLINKPORT="2", VKTOKENFILE="/t")
    assert (config.interlink_port, config.sidecar_url, config.vk_token_file) == (2, "unix:///a", Path("/t"))


def test_the_file_can_be_named_by_the_environment(file: Path) -> None:
    file.write_text("InterlinkPort: 7")
    assert load_config(None, {"INTERLINKCONFIGPATH": str(file)}).interlink_port == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("InterlinkPrt: 3000", ["unknown key InterlinkPrt", "nearest valid key is InterlinkPort"]),
        ("interlinkport: 3000", ["unknown key interlinkport", "nearest valid key is InterlinkPort"]),
        ("NodeTaints: [{Key: a, Efect: b}]", ["key NodeTaints[0]", "unknown key Efect", "nearest valid key is Effect"]),
        ("Resources: {Cpu: 1}", ["key Resources", "unknown key Cpu", "nearest valid key is CPU"]),
        ("InterlinkPort: three", ["key InterlinkPort", "must be a number, not 'three'"]),
        ("InterlinkPort: true", ["must be a number"]),
        ("InterlinkPort: -1", ["must not be negative"]),
        ("AllowHostRuntime: perhaps", ["key AllowHostRuntime", "must be true or false"]),
        ("DataRootFolder: [a]", ["key DataRootFolder", "must be a text, not a list"]),
        ("JobEnvironment: 3", ["key JobEnvironment", "names with values"]),
        ("NodeTaints: 3", ["key NodeTaints", "must be a list"]),
        ("- a", ["must hold keys with values"]),
        ("a: [", ["is not YAML"]),
    ],
)
def test_a_mistake_names_the_file_the_key_and_what_to_write(file: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file, text)
    for word in [str(file), *words]:
        assert word in str(caught.value)


def test_a_mistake_in_the_environment_names_the_variable(file: Path) -> None:
    with pytest.raises(ConfigError, match="environment variable INTERLINKPORT: must be a number"):
        load(file, "", INTERLINKPORT="x")


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: no such file; name an existing one"):
        load_config(tmp_path / "absent.yaml", {})


@given(st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("config") / "c.yaml"
    file.write_bytes(data)
    with contextlib.suppress(ConfigError):
        load_config(file, {})


def test_keys_and_environment_variables_are_unique() -> None:
    fields = dataclasses.fields(Config)
    keys = [spec.metadata["key"] for spec in fields]
    variables = [spec.metadata["env"] for spec in fields if spec.metadata["env"]]
    assert len(set(keys)) == len(keys)
    assert len(set(variables)) == len(variables)


def test_labels_may_be_written_as_today_s_interlink_does(file: Path) -> None:
    assert load(file, "NodeLabels: [a=b, c=d=e]").node_labels == {"a": "b", "c": "d=e"}
    with pytest.raises(ConfigError, match="key NodeLabels: must hold names with values, not a list"):
        load(file, "NodeLabels: [a]")


def test_accelerators_of_today_s_interlink_are_read(file: Path) -> None:
    text = "Resources: {Accelerators: [{ResourceType: nvidia.com/gpu, Model: a100, Available: 2}]}"
    assert [each.available for each in load(file, text).resources.accelerators] == ["2"]
