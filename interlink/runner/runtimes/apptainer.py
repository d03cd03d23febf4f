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
from typing import Any, Dict, List, Optional, Sequence, Tuple

from interlink.runner.files import RunnerError, write_whole
from interlink.runner.runtimes.base import (
    IDENTIFIER,
    Bind,
    ImageFile,
    Launch,
    Pairs,
    Runtime,
    Shared,
    Source,
    command_line,
    is_device,
    parents_first,
    runtimes_own,
    variables,
    working_folder,
    write_docker_config,
)

#: Own /tmp and /dev, nothing mounted from the host, values never evaluated.
OPTIONS = ["--contain", "--ipc", "--no-init", "--no-umask", "--no-eval"]
#: A layer in memory over the image. Binds need none: apptainer makes their places in a layer that nobody can write to.
WRITABLE = "--writable-tmpfs"
#: Tasks of one launcher on a node share one container, which they enter from outside: that needs a user namespace, and
#: process ids that are the node's. MPI's shared memory and process_vm_readv(2) work in it as without any container.
PIDS, USERS = "--pid", "--userns"
#: What waits in it, until its input is over: the only program that such an image must have. Slurm's signals are for the
#: tasks.
HOLDER = ["/bin/sh", "-c", "trap '' TERM INT HUP QUIT USR1 USR2; echo; read end; exit 0"]
#: What `apptainer run` runs.
RUNSCRIPT = "/.singularity.d/runscript"
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
        verb = "run" if _chooses(spec, image) else "exec"
        hostname = (self.plan.get("names") or {}).get("hostname")
        how = [verb, PIDS, *(["--hostname", hostname] if hostname else [])]
        argv, environment = self._before_words(how, spec, image, binds, pairs)
        return Launch([*argv, *_words(spec, image)], environment)

    def shared(self, spec: Dict[str, Any], image: Optional[ImageFile], binds: Sequence[Bind], pairs: Pairs) -> Shared:
        """See Runtime."""
        assert image is not None
        words = [RUNSCRIPT, *_words(spec, image)] if _chooses(spec, image) else _words(spec, image)
        pairs = list(pairs)
        argv, environment = self._before_words(["exec", USERS], spec, image, binds, pairs)
        return Shared(Launch([*argv, *HOLDER], environment), Launch(words, variables(image, pairs)))

    def _before_words(
        self, how: List[str], spec: Dict[str, Any], image: ImageFile, binds: Sequence[Bind], pairs: Pairs
    ) -> Tuple[List[str], Dict[str, str]]:
        """Return the words that start a new container up to its own command line, and the environment."""
        options = OPTIONS if spec.get("readOnlyRoot") else [*OPTIONS, WRITABLE]
        argv = [self.executable, "-s", *how, *options, *GPU_OPTIONS.get(spec.get("gpu", ""), ()), *self.options]
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
        return [*argv, image.path], environment

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


def _chooses(spec: Dict[str, Any], image: ImageFile) -> bool:
    """Return whether apptainer knows better what runs: the image came from no registry, and the pod names nothing."""
    return image.config is None and spec.get("command") is None


def _words(spec: Dict[str, Any], image: ImageFile) -> List[str]:
    """Return the container's command line, or of an image of which nothing is known what the pod says."""
    if image.config is None:
        return [*(spec.get("command") or ()), *(spec.get("args") or ())]
    return command_line(spec, image)


def _mount(bind: Bind) -> str:
    """Return --mount's word: one line of CSV, in which a field with a comma or a quote in it is quoted."""
    elsewhere = bind.source.startswith(DEV) and bind.source != bind.destination
    source = ROOT + bind.source if elsewhere else bind.source
    fields: List[str] = ["type=bind", "source=" + source, "destination=" + bind.destination]
    fields += ["ro"] if bind.read_only else []
    return ",".join('"{}"'.format(f.replace('"', '""')) if set(f) & set(',"\r\n') else f for f in fields)
