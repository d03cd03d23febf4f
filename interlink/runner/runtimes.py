"""How a container is started: its argv and its environment, under apptainer or straight on the host. No shell.

What apptainer 1.4 was seen to do decides the form: with a clean environment (--compat, --cleanenv) it passes every
value through a shell inside, where a name as my.var breaks all of them; without, the process environment arrives byte
for byte.
"""

import os
import shutil
from typing import Any, Dict, List, Tuple

from interlink.runner.files import RunnerError
from interlink.runner.volumes import Volumes

#: Own /tmp and /dev, own process ids, nothing mounted from the host, a writable layer, values never evaluated.
APPTAINER_OPTIONS = ["--contain", "--pid", "--ipc", "--no-init", "--no-umask", "--no-eval", "--writable-tmpfs"]
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
HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def apptainer_command(plan: Dict[str, Any], spec: Dict[str, Any], image: str, volumes: Volumes) -> List[str]:
    """Return the argv of a container under apptainer. ``command`` replaces the entrypoint; args alone go to it."""
    runtime = plan["runtime"]
    argv = [runtime.get("executable", "apptainer"), "-s", "run" if spec.get("command") is None else "exec"]
    argv += APPTAINER_OPTIONS + list(runtime.get("options", ()))
    if spec.get("workingDir"):
        argv += ["--pwd", spec["workingDir"]]
    for mount in sorted(spec.get("mounts", ()), key=lambda mount: len(mount["mountPath"])):
        fields = ["type=bind", "source=" + volumes.source(mount), "destination=" + mount["mountPath"]]
        fields += ["ro"] if volumes.read_only(mount) else []
        # One line of CSV: a field with a comma or a quote in it is quoted.
        quoted = ['"{}"'.format(f.replace('"', '""')) if set(f) & set(',"\r\n') else f for f in fields]
        argv += ["--mount", ",".join(quoted)]
    return [*argv, image, *(spec.get("command") or ()), *(spec.get("args") or ())]


def apptainer_environment(pairs: Any) -> Dict[str, str]:
    """Return the environment that gives the container its variables byte for byte, and nothing of the job's."""
    environment = {"PATH": os.environ.get("PATH", HOST_PATH), "HOME": os.environ.get("HOME", "/")}
    for name in FOR_APPTAINER:
        if name in os.environ:
            environment[name] = os.environ[name]
    for name, value in pairs:
        own = name in OWN_NAMES or name.startswith(OWN_PREFIXES)
        environment[FOR_CONTAINER + name if own else name] = value
    return environment


def host_command(plan: Dict[str, Any], spec: Dict[str, Any], volumes: Volumes) -> Tuple[List[str], str]:
    """Return the argv of a container straight on the host, and the folder where its volumes appear."""
    folder = os.path.join(plan["folder"], "host", spec["name"])
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, 0o700)
    for mount in sorted(spec.get("mounts", ()), key=lambda mount: len(mount["mountPath"])):
        link = os.path.join(folder, mount["mountPath"].strip("/"))
        os.makedirs(os.path.dirname(link), exist_ok=True)
        if os.path.islink(link):
            os.unlink(link)  # below another mount: the container's last run left it in that volume
        os.symlink(volumes.source(mount), link)
    argv = list(spec.get("command") or ()) + list(spec.get("args") or ())
    if not argv:
        raise RunnerError("a container on the host needs a command: there is no image to take one from")
    return argv, folder


def host_environment(pairs: Any, folder: str) -> Dict[str, str]:
    """Return the environment of a container on the host: a login's few variables, and the pod's."""
    kept = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME", "LANG") if name in os.environ}
    return {"PATH": HOST_PATH, **kept, "INTERLINK_MOUNTS": folder, **dict(pairs)}
