"""Keys and habits of today's interLink Slurm plugin (SlurmConfig.yaml), so that a site moves over with its file.

Called by ``load``. Most of its keys are ours as well, in ``model``; here are those that mean nothing any more, with
the sentence that ``interlink config check`` and the service's start say of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Where the plugin looks for its file, and the variable that names another one.
DEFAULT_PATH = Path("/etc/interlink/SlurmConfig.yaml")
PATH_VARIABLE = "SLURMCONFIGPATH"

MEANINGLESS = {
    "VKConfigPath": "the sidecar does not read the virtual kubelet's configuration",
    "Namespace": "pods of every namespace come with their own; Namespaces says what each is given",
    "ExportPodData": "ConfigMaps and Secrets are always mounted as the pod says",
    "SingularityPrefix": "nothing is put before the runtime's command line; CommandPrefix runs before the pod runner",
    "EnrootPrefix": "nothing is put before the runtime's command line; CommandPrefix runs before the pod runner",
    "EnableProbes": "probes are always run as the pod says",
    "DefaultGID": "a job's group is its user's; JobUser and Namespaces say whose a job is",
    "AllowGIDOverride": "a job's group is its user's; JobUser and Namespaces say whose a job is",
    "GangSchedulingEnabled": "a pod is one job; --nodes and mpi-flags span several nodes with one pod",
    "GangTimeout": "a pod is one job; --nodes and mpi-flags span several nodes with one pod",
    "LauncherRegistryPath": "a pod is one job; MpiLauncher says what starts a container on several nodes",
}


def without_meaningless(document: Mapping[Any, Any]) -> tuple[dict[Any, Any], list[str]]:
    """Return the document without the plugin's keys that mean nothing here, and a sentence on each that is set."""
    kept = {key: value for key, value in document.items() if key not in MEANINGLESS}
    notes = [
        f"key {key} means nothing here: {MEANINGLESS[key]}"
        for key, value in document.items()
        if key in MEANINGLESS and value not in (None, "", False)
    ]
    return kept, notes


def sidecar_address(values: Mapping[str, Any]) -> dict[str, str]:
    """Return where the sidecar listens for a file that says it as the plugin's do: by Socket, else by SidecarPort."""
    if "sidecar_url" in values:
        return {}
    if values.get("socket"):
        return {"sidecar_url": values["socket"]}
    return {"sidecar_url": "http://127.0.0.1"} if "sidecar_port" in values else {}
