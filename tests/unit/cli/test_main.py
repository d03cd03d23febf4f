"""The command line: conventional words, exit statuses, and errors that say what to write instead."""

from pathlib import Path

import pytest

from interlink.cli.config import reference
from interlink.cli.main import main
from tests.demo.project import ROOT


def test_help_names_every_service(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for command in ("api", "slurm", "vk", "mock", "config", "doctor", "jobs"):
        assert f"\n    {command}" in text


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["api", "--nonsense"], ["config"]])
def test_wrong_use_is_exit_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: interlink" in capsys.readouterr().err


@pytest.mark.parametrize("service", ["api", "slurm", "mock", "vk"])
def test_a_wrong_configuration_stops_every_service_with_words(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("SidecarUrl: unix:///x")
    assert main([service, "--config", str(file)]) == 2
    assert f"interlink: {file}: unknown key SidecarUrl; the nearest valid key is SidecarURL" in capsys.readouterr().err


def test_the_api_does_not_listen_for_everybody_without_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("InterlinkURL: http://0.0.0.0")
    assert main(["api", "--config", str(file)]) == 2
    assert "set InterlinkTokenFile" in capsys.readouterr().err


def test_a_sidecar_listens_on_this_host_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("SidecarURL: http://0.0.0.0")
    assert main(["mock", "--config", str(file)]) == 2
    assert "use unix:///PATH or loopback" in capsys.readouterr().err


def test_config_check_says_whether_a_file_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("InterlinkPort: 3000")
    assert main(["config", "check", str(file)]) == 0
    assert "good" in capsys.readouterr().out
    file.write_text("InterlinkPort: x")
    assert main(["config", "check", str(file)]) == 2


def test_the_configuration_reference_in_the_documentation_is_the_models() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == reference() + "\n", "run `make docs`"
