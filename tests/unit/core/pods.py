"""Pods as a sidecar gets them, for the tests of the core."""

from typing import Any

import msgspec

from interlink.wire.messages import RetrievedContainer, RetrievedPodData
from interlink.wire.pod import Pod

UID = "0f6bd0ce-6c1f-4c7a-9d2e-000000000001"


def make_pod(*containers: dict[str, Any], annotations: dict[str, str] | None = None, **spec: Any) -> Pod:
    """Return a pod with the given containers (one ``main`` if none is given)."""
    found = [{"name": "main", "image": "busybox:1", **container} for container in containers or ({},)]
    return msgspec.convert(
        {
            "metadata": {"name": "p", "namespace": "ns", "uid": UID, "annotations": annotations},
            "spec": {"containers": found, **spec},
        },
        Pod,
    )


def make_request(pod: Pod, **share: Any) -> RetrievedPodData:
    """Return what InterLink posts for the pod; ``share`` is the first container's gathered contents."""
    return RetrievedPodData(pod=pod, container=[RetrievedContainer(name="main", **share)])
