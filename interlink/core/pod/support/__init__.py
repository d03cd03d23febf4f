"""What of the Pod API is supported: one table of every field, by which pods are refused and warned about.

``TYPES`` has the rows by the API's types (core/v1), of Kubernetes 1.30 and later. docs/pod-api.md is made from it
(``page``), and a test holds it against a real kube-apiserver, so that no field is missing.
"""

from typing import Any

from interlink.core.pod.support.containers import CONTAINER_TYPES
from interlink.core.pod.support.look import look, sentences
from interlink.core.pod.support.model import Row, When
from interlink.core.pod.support.pods import POD_TYPES
from interlink.core.pod.support.probes import PROBE_TYPES
from interlink.core.pod.support.volumes import VOLUME_TYPES

__all__ = ["TYPES", "Row", "When", "ignored", "refused"]

TYPES: dict[str, tuple[Row, ...]] = {**POD_TYPES, **CONTAINER_TYPES, **PROBE_TYPES, **VOLUME_TYPES}
_TABLE = {kind: {row.field: row for row in rows} for kind, rows in TYPES.items()}


def refused(spec: dict[str, Any], runtime: str = "apptainer") -> str:
    """Return why a pod with this v1.PodSpec (plain JSON) is refused, by its first such field; empty if it is not.

    ``runtime`` is how the pod's containers are started, as PlanRuntime.kind.
    """
    return next((str(finding) for finding in look(spec, _TABLE, runtime) if finding.refused), "")


def ignored(spec: dict[str, Any], runtime: str = "apptainer") -> list[str]:
    """Return a sentence for each field of a v1.PodSpec (plain JSON) that has no effect and should have one.

    ``runtime`` is how the pod's containers are started, as PlanRuntime.kind.
    """
    return sentences(finding for finding in look(spec, _TABLE, runtime) if not finding.refused)
