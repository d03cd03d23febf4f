"""Containers under NVIDIA's enroot, started straight from the image file (enroot 3.1, squashfuse and fuse-overlayfs).

Its environment and its mounts are lines of text files: a value with a line break or a path with a colon or a blank in
it cannot be carried, and is refused by name. What runs is told by a fixed command script (--rc), so that neither the
image's own nor a shell's words come between. Manual: the enroot project's doc/cmd/start.md and import.md.
"""

import os
import re
from typing import Any, Dict, List, Optional, Sequence

from interlink.runner.files import RunnerError, write_whole
from interlink.runner.runtimes.base import (
    IDENTIFIER,
    Bind,
    ImageFile,
    Launch,
    Pairs,
    Runtime,
    Source,
    command_line,
    kept,
    parents_first,
    registry_name,
    runtimes_own,
    variables,
    working_folder,
)

#: Run by the container's /bin/sh with the working directory and the command as its arguments.
COMMAND_SCRIPT = b'cd -- "$1" || exit 128\nshift\nexec "$@"\n'
#: enroot reads its credentials with a shell's expansion: only what means nothing to one may stand there.
_PLAIN = re.compile(r"[A-Za-z0-9._~+/=@:,%-]+")
#: The node's, for enroot itself: where it keeps things, and what the site sets.
_FOR_ENROOT = ("HOME", "USER", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR")
#: Host of Docker Hub's token service, whose name curl looks for in the credentials.
_HUB_TOKENS = "auth.docker.io"


class Enroot(Runtime):
    """enroot import and start; images are squashfs files."""

    suffix = ".sqsh"
    root_options = frozenset({"--root", "-r"})

    @classmethod
    def program(cls) -> str:
        """See Runtime."""
        return "enroot"

    def launch(self, spec: Dict[str, Any], image: Optional[ImageFile], binds: Sequence[Bind], pairs: Pairs) -> Launch:
        """See Runtime."""
        assert image is not None
        values = variables(image, pairs)
        # enroot's own hook shows a container the GPUs that this names.
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "all") if spec.get("gpu") == "nvidia" else "void"
        values.setdefault("NVIDIA_VISIBLE_DEVICES", gpus)
        argv = [self.executable, "start", *self.options]
        for bind in parents_first(binds):
            argv += ["--mount", _mount(bind)]
        environment = {**runtimes_own(), **self._settings()}
        for name, value in values.items():
            argv += ["--env", _variable(name, value, environment)]
        script = os.path.join(self.plan["folder"], "enroot-rc")
        write_whole(script, COMMAND_SCRIPT)
        words = [working_folder(spec, image) or "/", *command_line(spec, image)]
        return Launch([*argv, "--rc", script, "--", image.path, *words], environment)

    def pull(self, source: Source, target: str, scratch: str) -> List[Launch]:
        """See Runtime. Layers are kept for this import alone."""
        registry_name(source, "enroot")
        environment = {**os.environ, **self._settings(), "ENROOT_TEMP_PATH": scratch, "ENROOT_CACHE_PATH": scratch}
        user = ""
        if source.username:
            environment["ENROOT_CONFIG_PATH"] = scratch
            _write_credentials(source, os.path.join(scratch, ".credentials"))
            user = source.username + "@"
        environment.update({"ENROOT_ALLOW_HTTP": "yes"} if source.insecure else {})
        registry = "" if source.registry == "docker.io" else source.registry + "#"
        uri = "docker://{}{}{}:{}".format(user, registry, source.repository, source.digest)
        return [Launch([self.executable, "import", "--output", target, "--", uri], environment)]

    @staticmethod
    def _settings() -> Dict[str, str]:
        """Return what enroot itself is told: the site's own settings, no home and no devices of others."""
        site = {name: value for name, value in os.environ.items() if name.startswith("ENROOT_")}
        return {**kept(*_FOR_ENROOT), "ENROOT_MOUNT_HOME": "no", "ENROOT_RESTRICT_DEV": "yes", **site}


def _mount(bind: Bind) -> str:
    """Return a mount as an fstab line with colons. Raises RunnerError."""
    for path in (bind.source, bind.destination):
        if re.search(r"[\s:]", path):
            raise RunnerError("enroot cannot mount {!r}: a path with a colon or a blank".format(path))
    options = ["x-create=auto", "rbind", "ro" if bind.read_only else "rw"]
    options += {"HostToContainer": ["rslave"], "Bidirectional": ["rshared"]}.get(bind.propagation, [])
    return ":".join([bind.source, bind.destination, "none", ",".join(options)])


def _variable(name: str, value: str, environment: Dict[str, str]) -> str:
    """Return --env's word: the name alone where the value can come from enroot's own environment, unseen by others."""
    if not IDENTIFIER.fullmatch(name):
        raise RunnerError("enroot cannot set the variable {!r}: its name is no identifier".format(name))
    if "\n" in value:
        raise RunnerError("enroot cannot set the variable {}: its value has a line break".format(name))
    if name in environment or name.startswith(("ENROOT_", "BASH", "LD_", "XDG_", "TMP")):
        return "{}={}".format(name, value)
    environment[name] = value
    return name


def _write_credentials(source: Source, path: str) -> None:
    """Write netrc lines (0600), for the registry and for its token service. Raises RunnerError."""
    for word in (source.username, source.password):
        if not _PLAIN.fullmatch(word):
            raise RunnerError("enroot cannot take a credential of {} with such letters in it".format(source.registry))
    hosts = [_HUB_TOKENS] if source.registry == "docker.io" else [source.registry.partition(":")[0]]
    lines = ["machine {} login {} password {}\n".format(host, source.username, source.password) for host in hosts]
    write_whole(path, "".join(lines).encode("ascii"))
