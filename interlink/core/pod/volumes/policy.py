"""What of the site's file systems pods may see: hostPath by a list of folders, claims by a table. Called by ``plan``.

Judged by its text here, so that a pod is refused at once; where its links lead, the runner judges on the node by the
same list (``runner/volumes/site.py``).
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanContainer, PlanRoot, PlanVolume
from interlink.core.pod.paths import check_absolute
from interlink.core.pod.volumes.sources import Claim, HostPath

_TYPES = {"", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", "CharDevice", "BlockDevice"}
_KERNELS_OWN = ("/proc", "/sys", "/dev")
#: The runtimes whose containers can open a device of a volume wherever it is mounted, and those where they can at its
#: own path alone. Seen with podman 5.8 (--device) and with apptainer 1.4.5, which elsewhere mounts with nodev.
_ANY_DEVICE = frozenset({"none", "podman-hpc"})
_OWN_NAME = frozenset({"apptainer"})
#: DNS subdomain (RFC 1123), as claims are named: never a path, ``.`` or ``..``.
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class HostPathRule:
    """A folder (or file) of the site that hostPath volumes may show."""

    path: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class ClaimRule:
    """Where the claims of some namespaces lie. Patterns as in fnmatch(3); ``path`` has {namespace} {claim} {user}."""

    path: str
    namespace: str = "*"
    claim: str = "*"
    create: bool = False
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class VolumePolicy:
    """The administrator's word on volumes; paths are those of the compute nodes."""

    host_paths: tuple[HostPathRule, ...] = ()
    claims: tuple[ClaimRule, ...] = ()
    #: The sidecar's own folders, which no volume may show.
    protected: tuple[str, ...] = ()
    #: Where emptyDirs live on a node, with the job's variables in it; empty: in the job's folder.
    scratch: str = ""


def host_path(name: str, source: HostPath, policy: VolumePolicy) -> PlanVolume:
    """Return a hostPath volume. Raises UnsupportedPod for a path outside the administrator's list, and by name."""
    path = posixpath.normpath(check_absolute(f'volume "{name}": hostPath', source.path))
    path = "/" + path.lstrip("/")
    kind = source.type or ""
    if kind not in _TYPES:
        raise UnsupportedPod(f'volume "{name}": hostPath type {kind[:60]!r} is none of {", ".join(sorted(_TYPES)[1:])}')
    for own in policy.protected:
        if _is_below(path, own) or _is_below(own, path):
            raise UnsupportedPod(f'volume "{name}": hostPath {path} would show other pods\' files, in {own}')
    if not any(_opens(rule.path, path) for rule in policy.host_paths):
        allowed = ", ".join(rule.path for rule in policy.host_paths) or "nothing"
        raise UnsupportedPod(
            f'volume "{name}": hostPath {path} is not open to pods on this site (open: {allowed}); '
            "its administrator can add it to HostPaths in InterLinkConfig.yaml"
        )
    roots = [PlanRoot(path=rule.path, read_only=rule.read_only) for rule in policy.host_paths]
    return PlanVolume(name=name, kind="path", path=path, path_type=kind, allowed=roots)


def claim(name: str, source: Claim, namespace: str, policy: VolumePolicy) -> PlanVolume:
    """Return a claim's volume. Raises UnsupportedPod for a claim that no line of the administrator's table gives."""
    if not _CLAIM.fullmatch(source.claim_name):
        raise UnsupportedPod(f'volume "{name}": {source.claim_name[:80]!r} is no name of a PersistentVolumeClaim')
    for rule in policy.claims:
        if fnmatchcase(namespace, rule.namespace) and fnmatchcase(source.claim_name, rule.claim):
            path = rule.path.replace("{namespace}", namespace).replace("{claim}", source.claim_name)
            return PlanVolume(
                name=name,
                kind="path",
                path=path,
                path_type="DirectoryOrCreate" if rule.create else "Directory",
                read_only=bool(source.read_only) or rule.read_only,
                allowed=[PlanRoot(path=_fixed_part(rule.path))],
                claim=source.claim_name,
            )
    raise UnsupportedPod(
        f'volume "{name}": PersistentVolumeClaim "{source.claim_name}" of namespace "{namespace}" has no place on this '
        "site; its administrator can give it one under PersistentVolumeClaims in InterLinkConfig.yaml "
        f"(Namespace: {namespace}, Claim: {source.claim_name}, Path: a folder of the compute nodes)"
    )


def refuse_devices(volumes: Iterable[PlanVolume], runtime: str, containers: Iterable[PlanContainer]) -> None:
    """Raise UnsupportedPod for a device that a container could see and not open: runtimes mount volumes with nodev."""
    devices = {volume.name: volume for volume in volumes if volume.path_type in ("CharDevice", "BlockDevice")}
    for container in containers:
        for mount in container.mounts:
            if (volume := devices.get(mount.volume)) is None or runtime in _ANY_DEVICE:
                continue
            where = f'volume "{volume.name}": a hostPath of type {volume.path_type}'
            if runtime not in _OWN_NAME:
                raise UnsupportedPod(
                    f"{where} is not possible under {runtime}, with which nobody has seen a container open it; GPUs "
                    "are asked for by their resource (nvidia.com/gpu)"
                )
            if posixpath.normpath(mount.mount_path) != volume.path or not volume.path.startswith("/dev/"):
                raise UnsupportedPod(
                    f"{where} can be mounted at its own path below /dev only under {runtime}, which lets no container "
                    f"open a device elsewhere: not {volume.path} at {mount.mount_path}"
                )


def _fixed_part(path: str) -> str:
    """Return the folders of a claim's path that are the same for all: no pod's doing leads out of them."""
    if "{" not in path:
        return path
    return posixpath.dirname(path[: path.index("{")] + "x")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _opens(rule: str, path: str) -> bool:
    """Return whether a rule opens a path; the kernel's own file systems only by a rule that names them."""
    return _is_below(path, rule) and all(_is_below(rule, own) for own in _KERNELS_OWN if _is_below(path, own))
