"""The keys about volumes → ``core.pod.volumes.VolumePolicy``, checked: absolute paths, placeholders that exist.

Called by ``interlink slurm`` and ``interlink config check``. Every fault is a ConfigError that names the key.
"""

import posixpath
import re

from interlink.config.load import ConfigError
from interlink.config.model import Config
from interlink.core.pod.volumes import ClaimRule, HostPathRule, VolumePolicy

_PLACEHOLDERS = {"namespace", "claim", "user"}


def volume_policy(config: Config) -> VolumePolicy:
    """Return what the site opens to volumes. Raises ConfigError."""
    scratch = config.scratch_folder
    if scratch and not scratch.startswith(("/", "$")):
        raise ConfigError(f"key ScratchFolder: must be an absolute path, or begin with a variable, and is {scratch!r}")
    return VolumePolicy(
        host_paths=tuple(
            HostPathRule(path=_absolute(f"key HostPaths[{number}].Path", each.path), read_only=each.read_only)
            for number, each in enumerate(config.host_paths)
        ),
        claims=tuple(
            ClaimRule(
                path=_template(f"key PersistentVolumeClaims[{number}].Path", each.path),
                namespace=each.namespace,
                claim=each.claim,
                create=each.create,
                read_only=each.read_only,
            )
            for number, each in enumerate(config.persistent_volume_claims)
        ),
        protected=(str(config.data_root_folder), str(config.state_folder)),
        scratch=scratch,
    )


def _absolute(key: str, path: str) -> str:
    if not path.startswith("/") or ".." in path.split("/"):
        raise ConfigError(f'{key}: must be an absolute path without ".." parts, and is {path!r}')
    return posixpath.normpath("/" + path.lstrip("/"))


def _template(key: str, path: str) -> str:
    """Return the path of a claim, whose placeholders are all known."""
    unknown = set(re.findall(r"\{([^}]*)\}?", path)) - _PLACEHOLDERS
    if unknown:
        known = ", ".join(sorted(f"{{{name}}}" for name in _PLACEHOLDERS))
        raise ConfigError(f"{key}: {{{sorted(unknown)[0]}}} stands for nothing; {known} do")
    return _absolute(key, path)
