"""What every runtime of containers offers to the runner: how one is started, and how an image is pulled. No shell.

A runtime is made once per pod from its plan (``runtime_of``); it starts nothing itself. ``container.py`` starts what
``launch`` returns, ``images.py`` what ``pull`` returns.
"""

import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

#: (name, value) of a container's environment, in the pod's order.
Pairs = Iterable[Tuple[str, str]]
HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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


class Launch(NamedTuple):
    """One process to start: its words, its whole environment, and the folder it starts in (None: the runner's)."""

    argv: List[str]
    environment: Dict[str, str]
    folder: Optional[str] = None


class Runtime:
    """One way to start a pod's containers."""

    #: Whether containers have images; without, ``pull`` is never called.
    images = True
    #: What a pulled image's file in the site's cache is called.
    suffix = ".sif"

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

    def pull(self, name: str, target: str, auth_file: str) -> Launch:
        """Return how an image becomes the file ``target``; ``auth_file`` is a docker config.json or empty."""
        raise NotImplementedError


def parents_first(binds: Sequence[Bind]) -> List[Bind]:
    """Return binds so that one below another comes after it."""
    return sorted(binds, key=lambda bind: len(bind.destination))


def kept(*names: str) -> Dict[str, str]:
    """Return those of the named variables that the job has."""
    return {name: os.environ[name] for name in names if name in os.environ}
