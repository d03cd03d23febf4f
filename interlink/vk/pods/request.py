"""From a v1.Pod to the edge's requests: literal environments, expanded commands, gathered volumes.

Called by ``controller.py`` before each create and by ``volumes/updates.py`` before each update. NotReadyError of a
container is kept apart from one of a volume, because kubelet tells them apart (CreateContainerConfigError;
ContainerCreating with a FailedMount event).
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from interlink.vk.environment import Environment
from interlink.vk.gather import NotReadyError, References
from interlink.vk.objects import is_name
from interlink.vk.volumes.contents import Contents, Volumes
from interlink.wire.messages import CLUSTER_ANNOTATION, NODE_FLAVOR_ANNOTATION, NODE_PARTITION_ANNOTATION

Json = dict[str, Any]


class ContainersNotReadyError(Exception):
    """Some containers refer to what is not there; ``problems`` says for each by name what."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {message}" for name, message in problems.items()))
        self.problems = problems


async def create_request(
    volumes: Volumes, cluster: str, services: Mapping[str, str], place: Mapping[str, str] | None = None
) -> tuple[Json, list[Contents]]:
    """Return the PodCreateRequest and the volumes' contents that are in it; changes the pod.

    ``place`` is the annotations that say for which part of the site the pod's node stands.

    Raises ContainersNotReadyError, NotReadyError or ApiError.
    """
    pod, references = volumes.pod, volumes.references
    contents = await volumes.gather()
    environment = Environment(pod, references, volumes.allocatable, services)
    problems = {}
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        try:
            await environment.apply(container)
        except NotReadyError as error:
            problems[container["name"]] = str(error)
    if problems:
        raise ContainersNotReadyError(problems)
    request = {
        "pod": _place(mark(pod, cluster), place or {}),
        **_gathered(contents),
        "jobscriptURL": "",
        "imagePullSecrets": await _image_pull_secrets(references, pod),
    }
    return request, contents


def update_request(pod: Json, cluster: str, contents: list[Contents]) -> Json:
    """Return the request for ``/update``: the pod with these of its volumes alone; leaves the pod as it is."""
    names = {entry.name for entry in contents}
    volumes = [volume for volume in pod["spec"].get("volumes") or () if volume["name"] in names]
    shown = {**pod, "metadata": dict(pod["metadata"]), "spec": {**pod["spec"], "volumes": volumes}}
    shown.pop("status", None)
    return {"pod": mark(shown, cluster), **_gathered(contents), "jobscriptURL": ""}


def _gathered(contents: list[Contents]) -> Json:
    """Return the request's three lists; an object that several volumes show is sent once."""
    found: dict[str, dict[str, Json]] = {"configmaps": {}, "secrets": {}, "projectedvolumesmaps": {}}
    for entry in contents:
        for kind, source in entry.sources.items():
            found[kind][source["metadata"]["name"]] = source
    return {kind: list(sources.values()) for kind, sources in found.items()}


async def _image_pull_secrets(references: References, pod: Json) -> list[Json]:
    """Return the v1.Secrets that the pod's imagePullSecrets names; one that is not there is no error in Kubernetes.

    Those of its service account are among the names: admission put them there.
    """
    names = dict.fromkeys(item.get("name") for item in pod["spec"].get("imagePullSecrets") or ())
    found = await asyncio.gather(*(references.secret(name) for name in names if name and is_name(name)))
    return [secret for secret in found if secret is not None]


def mark(pod: Json, cluster: str) -> Json:
    """Put the cluster's identity into the pod, so that its status can be told from other clusters'."""
    annotations = pod["metadata"].get("annotations") or {}
    pod["metadata"]["annotations"] = {**annotations, CLUSTER_ANNOTATION: cluster}
    return pod


def _place(pod: Json, place: Mapping[str, str]) -> Json:
    """Put the node's part of the site into the pod; only the node says it, whatever annotations the pod has."""
    kept = pod["metadata"]["annotations"]
    for name in (NODE_PARTITION_ANNOTATION, NODE_FLAVOR_ANNOTATION):
        kept.pop(name, None)
    pod["metadata"]["annotations"] = {**kept, **place}
    return pod
