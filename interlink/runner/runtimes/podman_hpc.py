"""Containers under podman-hpc (or podman): images stay in its own storage, which it shares between nodes itself.

What the cache holds is a small file in the image's place, so that policies, locks and credentials work as elsewhere.
"""

import json
import os
from typing import Any, Dict, List, Optional, Sequence

from interlink.runner.files import RunnerError, write_whole
from interlink.runner.runtimes.base import (
    Bind,
    ImageFile,
    Launch,
    Pairs,
    Runtime,
    Source,
    is_device,
    parents_first,
    registry_name,
    runtimes_own,
    write_docker_config,
)

#: The job's network and user, nothing left behind, output straight to us, no pull of its own.
OPTIONS = ["--rm", "--pull=never", "--network=host", "--userns=keep-id", "--cgroups=disabled", "--log-driver=none"]
GPU_OPTIONS = {"nvidia": ["--gpu"], "amd": ["--device=/dev/kfd", "--device=/dev/dri"]}
PROPAGATIONS = {"HostToContainer": "rslave", "Bidirectional": "rshared"}
#: What podman-hpc (Python) and podman read themselves: for the container it goes by a file.
_OWN_PREFIXES = ("PODMAN", "CONTAINER", "BASH", "LD_", "XDG_", "DBUS_", "GLIBC_", "PYTHON", "TMP", "GO", "SQUASH")
_OWN_NAMES = ("PATH", "HOME", "USER", "ENV", "IFS", "SHELLOPTS", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG")
_FOR_PODMAN = ("HOME", "USER", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR", "SCRATCH")


class PodmanHpc(Runtime):
    """podman-hpc pull and run."""

    suffix = ".podman"
    root_options = frozenset({"--user=0", "--user=root", "--userns=host"})
    no_folder = 'workdir "{}" does not exist on container'

    @classmethod
    def program(cls) -> str:
        """See Runtime."""
        return "podman-hpc"

    def launch(self, spec: Dict[str, Any], image: Optional[ImageFile], binds: Sequence[Bind], pairs: Pairs) -> Launch:
        """See Runtime. podman knows the image's entrypoint, variables and user itself."""
        assert image is not None
        if not image.pinned:
            raise RunnerError("podman-hpc runs images of registries, and no files: {}".format(image.path))
        pid_file = self._pid_file(spec)
        argv = [
            self.executable,
            "run",
            *OPTIONS,
            "--pidfile=" + pid_file,
            *GPU_OPTIONS.get(spec.get("gpu", ""), ()),
            *(["--read-only"] if spec.get("readOnlyRoot") else []),
            *self.options,
        ]
        user, group = spec.get("runAsUser"), spec.get("runAsGroup")
        if user is not None:
            argv += ["--user={}".format(user if group is None else "{}:{}".format(user, group))]
        argv += ["--workdir=" + spec["workingDir"]] if spec.get("workingDir") else []
        for bind in parents_first(binds):
            # A mount would be one with nodev.
            device = ["--device={}:{}".format(bind.source, bind.destination)] if is_device(bind.source) else []
            argv += device or ["--mount", _mount(bind)]
        environment = runtimes_own(*_FOR_PODMAN)
        lines: List[str] = []
        for name, value in dict(pairs).items():
            if "*" in name:
                raise RunnerError("podman cannot set the variable {!r}: an asterisk stands for any name".format(name))
            if name in _OWN_NAMES or name.startswith(_OWN_PREFIXES):
                if "\n" in value:
                    raise RunnerError("podman cannot set the variable {}: its value has a line break".format(name))
                lines.append("{}={}\n".format(name, value))
            else:
                environment[name] = value
                argv += ["--env", name]  # its value comes from podman's own environment
        if lines:
            file = os.path.join(self.plan["folder"], "podman-{}.env".format(spec["name"]))
            write_whole(file, os.fsencode("".join(lines)))
            argv += ["--env-file", file]
        if spec.get("command") is not None:
            argv += ["--entrypoint", json.dumps(spec["command"])]
        return Launch([*argv, image.pinned, *(spec.get("args") or ())], environment, pid_file=pid_file)

    def _pid_file(self, spec: Dict[str, Any]) -> str:
        """Return where podman writes the id of the container's first process, which conmon starts, not our child."""
        path = os.path.join(self.plan["folder"], "podman-{}.pid".format(spec["name"]))
        if os.path.exists(path):
            os.unlink(path)  # of the container's last run
        return path

    def pull(self, source: Source, target: str, scratch: str) -> List[Launch]:
        """See Runtime."""
        name = registry_name(source, "podman-hpc")
        options = ["--tls-verify=false"] if source.insecure else []
        if source.username or source.token:
            write_docker_config(source, os.path.join(scratch, "auth.json"))
            options += ["--authfile", os.path.join(scratch, "auth.json")]
        write_whole(target, source.digest.encode("ascii"))
        return [Launch([self.executable, "pull", *options, name], dict(os.environ))]


def _mount(bind: Bind) -> str:
    """Return --mount's word: one line of CSV, as podman reads it."""
    fields = ["type=bind", "source=" + bind.source, "destination=" + bind.destination]
    fields += ["ro"] if bind.read_only else []
    fields += ["bind-propagation=" + PROPAGATIONS[bind.propagation]] if bind.propagation in PROPAGATIONS else []
    return ",".join('"{}"'.format(f.replace('"', '""')) if set(f) & set(',"\r\n') else f for f in fields)
