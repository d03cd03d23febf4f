"""From a v1.Pod to the edge's create request: literal environments, expanded commands, gathered volumes.

Called by ``controller.py`` before each create. NotReadyError of a container is kept apart from one of a volume,
because kubelet tells them apart (CreateContainerConfigError; ContainerCreating with a FailedMount event).
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.environment import Environment
from interlink.vk.gather import NotReadyError, References
from interlink.vk.volumes import Volumes
from interlink.wire.messages import CLUSTER_ANNOTATION

Json = dict[str, Any]


class ContainersNotReadyError(Exception):
    """Some containers refer to what is not there; ``problems`` says for each by name what."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {message}" for name, message in problems.items()))
        self.problems = problems


async def create_request(
    api: ApiServer, pod: Json, cluster: str, allocatable: Mapping[str, str], services: Mapping[str, str]
) -> Json:
    """Return the PodCreateRequest; changes ``pod``. Raises ContainersNotReadyError, NotReadyError or ApiError."""
    references = References(api, pod["metadata"]["namespace"])
    volumes = Volumes(api, pod, references, allocatable)
    await volumes.gather()
    environment = Environment(pod, references, allocatable, services)
    problems = {}
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        try:
            await environment.apply(container)
        except NotReadyError as error:
            problems[container["name"]] = str(error)
    if problems:
        raise ContainersNotReadyError(problems)
    mark(pod, cluster)
    return {
        "pod": pod,
        "configmaps": list(volumes.config_maps.values()),
        "secrets": list(volumes.secrets.values()),
        "projectedvolumesmaps": volumes.projected,
        "jobscriptURL": "",
        "imagePullSecrets": await _image_pull_secrets(references, pod),
    }


async def _image_pull_secrets(references: References, pod: Json) -> list[Json]:
    """Return the v1.Secrets that the pod's imagePullSecrets names; one that is not there is no error in Kubernetes.

    Those of its service account are among the names: admission put them there.
    """
    names = dict.fromkeys(item.get("name") for item in pod["spec"].get("imagePullSecrets") or ())
    found = await asyncio.gather(*(references.secret(name) for name in names if name))
    return [secret for secret in found if secret is not None]


def mark(pod: Json, cluster: str) -> Json:
    """Put the cluster's identity into the pod, so that its status can be told from other clusters'."""
    annotations = pod["metadata"].get("annotations") or {}
    pod["metadata"]["annotations"] = {**annotations, CLUSTER_ANNOTATION: cluster}
    return pod
