"""The keys about volumes: what they become, and every fault by its key."""

from pathlib import Path

import pytest

from interlink.config import ConfigError, load_config
from interlink.config.volumes import volume_policy
from interlink.core.pod.volumes import ClaimRule, HostPathRule, VolumePolicy


def policy(tmp_path: Path, text: str) -> VolumePolicy:
    (tmp_path / "c.yaml").write_text(text)
    return volume_policy(load_config(tmp_path / "c.yaml", {}))


def test_the_keys_become_the_policy(tmp_path: Path) -> None:
    text = """
DataRootFolder: /srv/x
StateFolder: /var/x
ScratchFolder: $TMPDIR
HostPaths:
  - {Path: //scratch/, ReadOnly: true}
PersistentVolumeClaims:
  - {Namespace: team-*, Path: "/claims/{user}/{namespace}/{claim}", Create: true}
"""
    assert policy(tmp_path, text) == VolumePolicy(
        host_paths=(HostPathRule(path="/scratch", read_only=True),),
        claims=(ClaimRule(namespace="team-*", path="/claims/{user}/{namespace}/{claim}", create=True),),
        protected=("/srv/x", "/var/x"),
        scratch="$TMPDIR",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ScratchFolder: tmp", "key ScratchFolder: must be an absolute path"),
        ("HostPaths: [{Path: scratch}]", r"key HostPaths\[0\].Path: must be an absolute path"),
        ("HostPaths: [{Path: /a/../b}]", r"key HostPaths\[0\].Path: must be an absolute path"),
        ("PersistentVolumeClaims: [{Path: ''}]", r"key PersistentVolumeClaims\[0\].Path: must be an absolute"),
        ("PersistentVolumeClaims: [{Path: '/x/{name}'}]", r"\[0\].Path: {name} stands for nothing; {claim}, "),
        ("PersistentVolumeClaims: [{Path: /x}, {Path: '/{'}]", r"\[1\].Path: {} stands for nothing"),
        ("HostPaths: [{Folder: /a}]", "unknown key Folder"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        policy(tmp_path, text)
