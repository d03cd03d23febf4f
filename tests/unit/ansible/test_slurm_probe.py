"""How the slurm_sidecar role reads a host's Slurm."""

from pathlib import Path

import pytest

from tests.unit.ansible.test_token_module import load

PROBE = load("slurm_sidecar/files/probe.py")
BUILD = load("slurm_sidecar/files/build_pyslurm.py")


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Return a folder with Slurm 26.05.5 as Debian lays it out."""
    (tmp_path / "include/slurm").mkdir(parents=True)
    (tmp_path / "include/slurm/slurm_version.h").write_text("#define SLURM_VERSION_NUMBER 0x1a0505\n")
    (tmp_path / "lib/x86_64-linux-gnu/slurm-wlm").mkdir(parents=True)
    (tmp_path / "lib/x86_64-linux-gnu/slurm-wlm/libslurmfull.so").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sinfo").write_text("#!/bin/sh\necho slurm-wlm 26.05.5\n")
    (tmp_path / "bin/sinfo").chmod(0o755)
    return tmp_path


def test_version_of_headers_and_commands(prefix: Path) -> None:
    assert PROBE.header_version(prefix) == "26.05.5"
    assert PROBE.slurm_version(str(prefix / "bin/sinfo")) == "26.05.5"
    assert PROBE.library_folder(prefix).endswith("slurm-wlm")


def test_a_host_without_slurm(tmp_path: Path) -> None:
    assert PROBE.header_version(tmp_path) == ""
    assert PROBE.slurm_version(None) == ""
    assert PROBE.library_folder(tmp_path) == ""


def test_headers_are_made_to_say_pyslurms_release(prefix: Path, tmp_path: Path) -> None:
    BUILD.pretend_headers(prefix / "include/slurm", tmp_path / "copy", "25.11.2")
    text = (tmp_path / "copy/slurm/slurm_version.h").read_text()
    assert text == "#define SLURM_VERSION_NUMBER 0x190b02\n"
    assert PROBE.header_version(prefix) == "26.05.5"


def test_the_release_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    systemctl = tmp_path / "systemctl"
    systemctl.write_text("#!/bin/sh\necho 'systemd 252 (252.39-1~deb12u1)'\necho '+PAM +AUDIT'\n")
    systemctl.chmod(0o755)
    assert PROBE.systemd_release() == 252
    systemctl.write_text("#!/bin/sh\nexit 1\n")
    assert PROBE.systemd_release() == 0
