"""What the virtual kubelet itself cannot gather for a pod, refused by name. Pure; called by ``starting.py``.

What a site cannot do, its plugin refuses; what such a reference would have brought, no plugin ever sees.
"""

from typing import Any

from interlink.core.errors import UnsupportedPod

Json = dict[str, Any]

_VARIABLES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")
_PROJECTED = ("serviceAccountToken", "downwardAPI", "configMap", "secret", "clusterTrustBundle")


def refuse_sources(pod: Json) -> None:
    """Raise UnsupportedPod for the first variable or projected volume that comes from what is not known here."""
    spec = pod["spec"]
    for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
        for variable in container.get("env") or ():
            for source in sorted(set(variable.get("valueFrom") or ()) - set(_VARIABLES)):
                raise UnsupportedPod(
                    f'container "{container["name"]}": variable {variable["name"]} is from {source}, '
                    "which is not supported on this node"
                )
    for volume in spec.get("volumes") or ():
        for projection in (volume.get("projected") or {}).get("sources") or ():
            for source in sorted(set(projection) - set(_PROJECTED)):
                raise UnsupportedPod(
                    f'volume "{volume["name"]}": it projects {source}, which is not supported on this node'
                )
