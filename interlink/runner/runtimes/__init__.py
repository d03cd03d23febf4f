"""The container runtimes, one module each; ``runtime_of`` picks the plan's. Called by ``runner/pod.py``."""

from typing import Any, Dict, Type

from interlink.runner.files import RunnerError
from interlink.runner.runtimes.apptainer import Apptainer
from interlink.runner.runtimes.base import Bind, ImageFile, Launch, Runtime, Shared, Source, variables
from interlink.runner.runtimes.charliecloud import Charliecloud
from interlink.runner.runtimes.enroot import Enroot
from interlink.runner.runtimes.host import Host
from interlink.runner.runtimes.podman_hpc import PodmanHpc

__all__ = ["Bind", "ImageFile", "Launch", "Runtime", "Shared", "Source", "runtime_of", "variables"]

RUNTIMES: "Dict[str, Type[Runtime]]" = {
    "apptainer": Apptainer,
    "charliecloud": Charliecloud,
    "enroot": Enroot,
    "none": Host,
    "podman-hpc": PodmanHpc,
}


def runtime_of(plan: Dict[str, Any]) -> Runtime:
    """Return the runtime of a plan's containers. Raises RunnerError for one that this runner does not know."""
    kind = plan["runtime"]["kind"]
    if kind not in RUNTIMES:
        raise RunnerError("this runner knows no runtime {!r}, only {}".format(kind, ", ".join(sorted(RUNTIMES))))
    return RUNTIMES[kind](plan)
