"""What every runtime of containers offers to the runner: how one is started, and how an image is pulled. No shell.

A runtime is made once per pod from its plan (``runtime_of``); it starts nothing itself. ``container.py`` starts what
``launch`` returns, ``images.py`` what ``pull`` returns.
"""

import base64
import json
import os
import re
import stat
from typing import Any, Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from interlink.runner.files import RunnerError, write_whole

#: (name, value) of a container's environment, in the pod's order.
Pairs = Iterable[Tuple[str, str]]
#: What every program takes for a variable's name.
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: A program that no image has.
NOTHING = "/.interlink-nothing"


class Bind(NamedTuple):
    """A path of the host that a container sees. ``propagation`` is v1.MountPropagationMode."""

    source: str
    destination: str
    read_only: bool = False
    propagation: str = ""


class ImageFile(NamedTuple):
    """An image in the site's cache or a file of the site; ``config`` is what the registry says of how it runs.

    It has the OCI image configuration's Entrypoint, Cmd, Env, WorkingDir, User; None where nobody asked a registry.
    """

    path: str
    config: Optional[Dict[str, Any]] = None
    #: REGISTRY/REPOSITORY@DIGEST, where a registry told a digest.
    pinned: str = ""


class Source(NamedTuple):
    """What is pulled from where. The digest is that of the node's own platform; names without one have none."""

    name: str
    registry: str = ""
    repository: str = ""
    digest: str = ""
    username: str = ""
    password: str = ""
    token: str = ""
    #: Whether the site lets this registry be spoken to by plain HTTP.
    insecure: bool = False


class Launch(NamedTuple):
    """One process to start: its words, its whole environment, and the folder it starts in (None: the runner's)."""

    argv: List[str]
    environment: Dict[str, str]
    folder: Optional[str] = None
    #: The file that the runtime writes the id of the container's first process into, where that is none of this
    #: process' descendants and outlives it.
    pid_file: Optional[str] = None
    #: Whether SIGTERM has to go to the container's own process, because the runtime's does not hand it on.
    deaf: bool = False


class Shared(NamedTuple):
    """A container for all tasks of a node.

    ``holder`` makes it: a program that waits in it, prints a line once it is there, and has an open input. ``task`` is
    what a task becomes once it has entered. Without a holder each task makes a container of its own.
    """

    holder: Optional[Launch]
    task: Launch


class Runtime:
    """One way to start a pod's containers."""

    #: Whether containers have images; without, ``pull`` is never called.
    images = True
    #: What a pulled image's file in the site's cache is called.
    suffix = ".sif"
    #: Options that make a container's user root of its user namespace.
    root_options: "FrozenSet[str]" = frozenset()
    #: What the runtime says of a working folder ({}) that the image has not; empty where nobody has seen that.
    no_folder = ""

    def __init__(self, plan: Dict[str, Any]) -> None:
        self.plan = plan
        runtime = plan["runtime"]
        self.executable = runtime.get("executable") or self.program()
        self.options: List[str] = list(runtime.get("options", ()))

    @classmethod
    def program(cls) -> str:
        """Return the executable's name where the plan gives none."""
        raise NotImplementedError

    def launch(self, spec: Dict[str, Any], image: Optional[ImageFile], binds: Sequence[Bind], pairs: Pairs) -> Launch:
        """Return how a container starts. ``spec`` is a PlanContainer; ``image`` is None where ``images`` is false.

        Raises RunnerError for what this runtime cannot do.
        """
        raise NotImplementedError

    def look(self, spec: Dict[str, Any], image: ImageFile) -> Optional[Launch]:
        """Return a command that ends at once, and says ``no_folder`` if the image has no such working folder.

        None where the runtime does not say so. Raises RunnerError.
        """
        if not self.no_folder:
            return None
        wanted = {"name": spec["name"], "workingDir": spec["workingDir"], "command": [NOTHING]}
        return self.launch(wanted, image, (), ())

    def shared(self, spec: Dict[str, Any], image: Optional[ImageFile], binds: Sequence[Bind], pairs: Pairs) -> Shared:
        """Return how the tasks of an MPI launcher come to share a container on each node; arguments as ``launch``."""
        return Shared(None, self.launch(spec, image, binds, pairs))

    def pull(self, source: Source, target: str, scratch: str) -> List[Launch]:
        """Return the commands that make the file ``target`` of an image.

        ``scratch`` is an empty folder of this pull alone, which is removed afterwards; credentials are written there.
        Raises RunnerError for what this runtime cannot pull.
        """
        raise NotImplementedError


def command_line(spec: Dict[str, Any], image: Optional[ImageFile]) -> List[str]:
    """Return what runs, as Kubernetes has it: command replaces the entrypoint and its arguments, args the latter."""
    config = (image.config if image is not None else None) or {}
    command, args = spec.get("command"), spec.get("args")
    if command is None:
        command = config.get("Entrypoint") or []
        args = config.get("Cmd") or [] if args is None else args
    words = [*command, *(args or ())]
    if not words:
        raise RunnerError("neither the pod nor its image names a command")
    return words


def working_folder(spec: Dict[str, Any], image: ImageFile) -> str:
    """Return where a container starts, empty where nobody says so."""
    own = "" if image.config is None else image.config.get("WorkingDir") or "/"
    return str(spec.get("workingDir") or own)


def variables(image: ImageFile, pairs: Pairs) -> Dict[str, str]:
    """Return the image's own variables with the pod's over them."""
    of_image = (str(pair).partition("=") for pair in (image.config or {}).get("Env") or ())
    return {**{name: value for name, equals, value in of_image if name and equals}, **dict(pairs)}


def write_docker_config(source: Source, path: str) -> None:
    """Write a docker config.json (0600) with one registry's credential."""
    if source.token:
        entry = {"identitytoken": source.token}
    else:
        pair = "{}:{}".format(source.username, source.password).encode("utf-8", "surrogateescape")
        entry = {"auth": base64.b64encode(pair).decode("ascii")}
    registry = "https://index.docker.io/v1/" if source.registry == "docker.io" else source.registry
    write_whole(path, json.dumps({"auths": {registry: entry}}).encode("ascii"))


def is_device(path: str) -> bool:
    """Return whether a path of this node is a character or block device."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def parents_first(binds: Sequence[Bind]) -> List[Bind]:
    """Return binds so that one below another comes after it."""
    return sorted(binds, key=lambda bind: len(bind.destination))


#: By which variables Slurm tells a job's processes the cards that it was given (gres.conf(5)), by the cards' maker.
GPU_VARIABLES = {"nvidia": ("CUDA_VISIBLE_DEVICES",), "amd": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")}


def granted(spec: Dict[str, Any]) -> Pairs:
    """Return the container's variables: which of the node's cards are its job's, and over them what the pod says."""
    return [*kept(*GPU_VARIABLES.get(spec.get("gpu", ""), ())).items(), *spec.get("env", ())]


def runtimes_own(*names: str) -> Dict[str, str]:
    """Return the environment of the runtime's program itself: the job's PATH, and those of the named that it has."""
    return {"PATH": os.environ.get("PATH", HOST_PATH), **kept(*names)}


def registry_name(source: Source, runtime: str) -> str:
    """Return an image's name without its scheme. Raises RunnerError for one that comes from no registry."""
    if not source.digest:
        raise RunnerError("{} pulls from docker:// registries only".format(runtime))
    return source.name[len("docker://") :]


def kept(*names: str) -> Dict[str, str]:
    """Return those of the named variables that the job has."""
    return {name: os.environ[name] for name in names if name in os.environ}
