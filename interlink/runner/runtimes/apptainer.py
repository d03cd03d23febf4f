"""Containers under apptainer or singularity.

What apptainer 1.4 was seen to do decides the form: with a clean environment (--compat, --cleanenv) it passes every
value through a shell inside, where a name as my.var breaks all of them; without, the process environment arrives byte
for byte.
"""

import os
from typing import Any, Dict, List, Optional, Sequence

from interlink.runner.runtimes.base import HOST_PATH, Bind, ImageFile, Launch, Pairs, Runtime, kept, parents_first

#: Own /tmp and /dev, own process ids, nothing mounted from the host, a writable layer, values never evaluated.
OPTIONS = ["--contain", "--pid", "--ipc", "--no-init", "--no-umask", "--no-eval", "--writable-tmpfs"]
#: Variables that mean something to apptainer itself, its libraries or a shell around it go to the container by this
#: prefix; only identifiers may, which core/pod/paths.py sees to.
FOR_CONTAINER = "APPTAINERENV_"
OWN_PREFIXES = ("APPTAINER", "SINGULARITY", "BASH_", "LD_", "XDG_", "DBUS_", "GLIBC_", "PYTHON")
OWN_NAMES = (
    "PATH", "HOME", "ENV", "SHELLOPTS", "BASHOPTS", "PS4", "IFS", "TMPDIR", "TMP", "TEMP", "GODEBUG", "GOTRACEBACK",
    "GCONV_PATH", "LOCPATH", "NLSPATH", "HOSTALIASES", "RESOLV_HOST_CONF",
)  # fmt: skip
#: What apptainer itself may be told by the administrator's JobEnvironment.
FOR_APPTAINER = ("APPTAINER_NOHTTPS", "APPTAINER_TMPDIR", "XDG_RUNTIME_DIR")


class Apptainer(Runtime):
    """apptainer exec and run; images are SIF files."""

    @classmethod
    def program(cls) -> str:
        """See Runtime."""
        return "apptainer"

    def launch(self, spec: Dict[str, Any], image: Optional[ImageFile], binds: Sequence[Bind], pairs: Pairs) -> Launch:
        """See Runtime. ``command`` replaces the entrypoint; args alone go to it."""
        argv = [self.executable, "-s", "run" if spec.get("command") is None else "exec", *OPTIONS, *self.options]
        if spec.get("workingDir"):
            argv += ["--pwd", spec["workingDir"]]
        for bind in parents_first(binds):
            argv += ["--mount", _mount(bind)]
        assert image is not None
        argv += [image.path, *(spec.get("command") or ()), *(spec.get("args") or ())]
        return Launch(argv, container_environment(pairs))

    def pull(self, name: str, target: str, auth_file: str) -> Launch:
        """See Runtime."""
        layers = os.path.join(self.plan["runtime"].get("imageCache", ""), "layers")
        environment = {**os.environ, "APPTAINER_CACHEDIR": layers}
        authentication = ["--authfile", auth_file] if auth_file else []
        return Launch([self.executable, "pull", "--force", *authentication, target, name], environment)


def container_environment(pairs: Pairs) -> Dict[str, str]:
    """Return the environment that gives the container its variables byte for byte, and nothing of the job's."""
    environment = {"PATH": os.environ.get("PATH", HOST_PATH), "HOME": os.environ.get("HOME", "/")}
    environment.update(kept(*FOR_APPTAINER))
    for name, value in pairs:
        own = name in OWN_NAMES or name.startswith(OWN_PREFIXES)
        environment[FOR_CONTAINER + name if own else name] = value
    return environment


def _mount(bind: Bind) -> str:
    """Return --mount's word: one line of CSV, in which a field with a comma or a quote in it is quoted."""
    fields: List[str] = ["type=bind", "source=" + bind.source, "destination=" + bind.destination]
    fields += ["ro"] if bind.read_only else []
    return ",".join('"{}"'.format(f.replace('"', '""')) if set(f) & set(',"\r\n') else f for f in fields)
