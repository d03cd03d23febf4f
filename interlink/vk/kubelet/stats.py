"""/stats/summary and /metrics/resource: what is used, as far as anybody knows it.

Routes of ``routes.py``. Nobody measures the use of a site's nodes for this node yet, so that there is none here: what
is not known is left out, because metrics-server and autoscalers would take a zero for a fact.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from interlink.vk.kubelet.metrics import started
from interlink.vk.metrics import family
from interlink.vk.pods.record import PodRecord

Json = dict[str, Any]


def node_stats(node_name: str) -> Json:
    """Return the summary's node; its start is that of this process, which is when anybody began to collect."""
    begun = datetime.fromtimestamp(started(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"nodeName": node_name, "startTime": begun}


def pod_stats(records: list[PodRecord]) -> Iterator[Json | None]:
    """Yield the summary's entry of each pod that has a running container, None for each other one."""
    for record in records:
        yield _pod(record.load()) if record.ran and not record.terminal else None


def resource_metrics() -> str:
    """Return the node's resource metrics: that nothing went wrong, and nothing else yet."""
    return family(
        "resource_scrape_error",
        "gauge",
        "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
        [({}, 0)],
    )


def _pod(pod: Json) -> Json | None:
    metadata, status = pod["metadata"], pod.get("status") or {}
    containers = [
        {"name": container["name"], "startTime": running["startedAt"]}
        for key in ("initContainerStatuses", "containerStatuses")
        for container in status.get(key) or []
        if (running := (container.get("state") or {}).get("running")) and running.get("startedAt")
    ]
    if not containers or not status.get("startTime"):
        return None
    reference = {key: metadata[key] for key in ("name", "namespace", "uid")}
    return {"podRef": reference, "startTime": status["startTime"], "containers": containers}
