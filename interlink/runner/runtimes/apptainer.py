"""Containers under apptainer or singularity.

What apptainer 1.4 was seen to do decides the form:

- With a clean environment (--compat, --cleanenv) it passes every value through a shell inside, where a name as my.var
  breaks all of them; without, the process environment arrives byte for byte.
- It turns an image's ENV into a shell script, which an odd value breaks with all that stands behind it, and which
  replaces an empty value of the pod by the image's; and it does not know WORKDIR. So where the registry told what the
  image says, that is given to it word by word, and its own scripts are covered by a folder of ours.
- It keeps HOME for itself, and makes nothing in its /dev for a bind, as /dev/termination-log; one fixed script of ours
  sets the one and links the other, as the last.
"""

import os
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
    is_device,
    parents_first,
    runtimes_own,
    variables,
    working_folder,
    write_docker_config,
)

#: Own /tmp and /dev, own process ids, nothing mounted from the host, a writable layer, values never evaluated.
OPTIONS = ["--contain", "--pid", "--ipc", "--no-init", "--no-umask", "--no-eval", "--writable-tmpfs"]
#: Tasks of one launcher on a node share their namespaces: MPI's shared memory and process_vm_readv(2) need it.
#: Singularity CE has no such option: there an MPI must be told to take the network between tasks of one node.
MPI_OPTION = "--sharens"
GPU_OPTIONS = {"nvidia": ["--nv"], "amd": ["--rocm"]}
#: Variables that mean something to apptainer itself, its libraries or a shell around it go to the container by a
#: prefix; only identifiers may, which core/pod/paths.py sees to.
OWN_PREFIXES = ("APPTAINER", "SINGULARITY", "BASH_", "LD_", "XDG_", "DBUS_", "GLIBC_", "PYTHON")
OWN_NAMES = (
    "PATH", "ENV", "SHELLOPTS", "BASHOPTS", "PS4", "IFS", "TMPDIR", "TMP", "TEMP", "GODEBUG", "GOTRACEBACK",
    "GCONV_PATH", "LOCPATH", "NLSPATH", "HOSTALIASES", "RESOLV_HOST_CONF",
)  # fmt: skip
#: What apptainer itself may be told by the administrator's JobEnvironment.
FOR_APPTAINER = ("APPTAINER_TMPDIR", "SINGULARITY_TMPDIR", "XDG_RUNTIME_DIR")
#: Where a container's environment scripts are, the one behind which apptainer adds what came by the prefix, and ours.
SCRIPTS, BEHIND, OURS = "/.singularity.d/env", "99-base.sh", "zz-interlink.sh"
HOME, LINK = "INTERLINK_HOME", "INTERLINK_LINK"
SCRIPT = b"""\
if [ -n "${INTERLINK_HOME+x}" ]; then export HOME="$INTERLINK_HOME"; unset INTERLINK_HOME; fi
if [ -n "${INTERLINK_LINK+x}" ]; then ln -s /.interlink-link "$INTERLINK_LINK" 2>/dev/null; unset INTERLINK_LINK; fi
"""
#: Where a bind below /dev is instead, and the folders that apptainer makes in /dev by itself.
LINKED, DEV = "/.interlink-link", "/dev/"
DEV_FOLDERS = (DEV + "shm", DEV + "mqueue")
#: The same file system by a name that is not below /dev: apptainer leaves binds from /dev to /dev out without a word.
ROOT = "/proc/self/root"
#: mksquashfs takes a quarter of the node's memory and all of its cores by itself. With this a pull stays below 200 MB.
SQUASHFS = "-mem 64M -processors 2"


class Apptainer(Runtime):
    """apptainer exec and run; images are SIF files."""

    root_options = frozenset({"--fakeroot", "-f"})
    no_folder = "failed to set working directory: chdir {}: no such file or directory"

    @classmethod
    def program(cls) -> str:
        """See Runtime."""
        return "apptainer"

    @property
    def prefix(self) -> str:
        """What stands before a variable for the container: Singularity CE knows only its own."""
        return "SINGULARITYENV_" if self._is_singularity() else "APPTAINERENV_"

    def _is_singularity(self) -> bool:
        return os.path.basename(self.executable).startswith("singularity")

    def launch(self, spec: Dict[str, Any], image: Optional[ImageFile], binds: Sequence[Bind], pairs: Pairs) -> Launch:
        """See Runtime. Only of an image whose registry nobody asked does apptainer choose the command itself."""
        assert image is not None
        verb = "run" if image.config is None and spec.get("command") is None else "exec"
        argv = [self.executable, "-s", verb, *OPTIONS, *GPU_OPTIONS.get(spec.get("gpu", ""), ()), *self.options]
        if self._shares(spec):
            argv.append(MPI_OPTION)
            # With process ids of their own the first task on a node to end would take the others with it, and hydra's
            # proxy waits for ever for what the instance's first process holds.
            argv.remove("--pid")
        folder = working_folder(spec, image)
        argv += ["--pwd", folder] if folder else []
        environment = self.environment(image, pairs)
        argv += ["--mount", _mount(self._scripts(whole=image.config is not None))]
        for bind in parents_first(binds):
            if is_device(bind.source) and bind.destination != bind.source:
                text = "apptainer lets a container open the device {0} at {0} alone, not at {1}"
                raise RunnerError(text.format(bind.source, bind.destination))
            # What the host's /dev has by that name (the stage of volumes.py sees to it) apptainer shows by itself.
            there = bind.destination.rstrip("/") in (*DEV_FOLDERS, bind.source)
            if bind.destination.startswith(DEV) and not there:
                environment[self.prefix + LINK] = bind.destination
                argv += ["--mount", _mount(bind._replace(destination=LINKED))]
            else:
                argv += ["--mount", _mount(bind)]
        if image.config is None:
            words = [*(spec.get("command") or ()), *(spec.get("args") or ())]
        else:
            words = command_line(spec, image)
        if self._shares(spec):
            environment["APPTAINER_CONFIGDIR"] = os.path.join(self.plan["folder"], "apptainer-instances")
        return Launch([*argv, image.path, *words], environment)

    def _shares(self, spec: Dict[str, Any]) -> bool:
        """Return whether tasks on a node share an instance; apptainer notes it in a folder, otherwise in HOME."""
        return bool(spec.get("mpi")) and not self._is_singularity()

    def environment(self, image: ImageFile, pairs: Pairs) -> Dict[str, str]:
        """Return the environment that gives the container its variables byte for byte, and nothing of the job's."""
        environment = {"HOME": os.environ.get("HOME", "/"), **runtimes_own(*FOR_APPTAINER)}
        for name, value in variables(image, pairs).items():
            # Behind the scripts of an image of which nothing is known, or they could replace it.
            own = name in OWN_NAMES or name.startswith(OWN_PREFIXES) or image.config is None
            if name == "HOME":
                environment[self.prefix + HOME] = value
            else:
                environment[self.prefix + name if own and IDENTIFIER.fullmatch(name) else name] = value
        return environment

    def _scripts(self, whole: bool) -> Bind:
        """Return the bind of our script, or of the folder that holds nothing else, over the image's own."""
        folder = os.path.join(self.plan["folder"], "apptainer")
        os.makedirs(folder, 0o700, exist_ok=True)
        for name, text in ((BEHIND, b""), (OURS, SCRIPT)):
            if not os.path.exists(os.path.join(folder, name)):
                write_whole(os.path.join(folder, name), text)
        if whole:
            return Bind(folder, SCRIPTS, read_only=True)
        return Bind(os.path.join(folder, OURS), "{}/{}".format(SCRIPTS, OURS), read_only=True)

    def pull(self, source: Source, target: str, scratch: str) -> List[Launch]:
        """See Runtime. No cache of apptainer's own: several nodes would share it, which it does not bear."""
        environment = {"APPTAINER_TMPDIR": scratch, "SINGULARITY_TMPDIR": scratch, **os.environ}
        options = ["--disable-cache", "--force"]
        if source.username or source.token:
            write_docker_config(source, os.path.join(scratch, "auth.json"))
            options += ["--authfile", os.path.join(scratch, "auth.json")]
        options += ["--no-https"] if source.insecure else []
        if source.digest and not self._is_singularity():
            verb = ["build", "--mksquashfs-args", SQUASHFS]
        else:
            verb = ["pull"]
        return [Launch([self.executable, *verb, *options, target, source.name], environment)]


def _mount(bind: Bind) -> str:
    """Return --mount's word: one line of CSV, in which a field with a comma or a quote in it is quoted."""
    elsewhere = bind.source.startswith(DEV) and bind.source != bind.destination
    source = ROOT + bind.source if elsewhere else bind.source
    fields: List[str] = ["type=bind", "source=" + source, "destination=" + bind.destination]
    fields += ["ro"] if bind.read_only else []
    return ",".join('"{}"'.format(f.replace('"', '""')) if set(f) & set(',"\r\n') else f for f in fields)
