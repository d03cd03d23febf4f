"""The one message that InterLink changes on its way: the virtual kubelet's create request into the plugin's.

Pure. The two directions spell projected volumes differently (projectedvolumesmaps, projectedvolumemaps): see PROTOCOL.
"""

from typing import Any

import msgspec

from interlink.wire.messages import PodCreateRequest, RetrievedContainer
from interlink.wire.pod import Container, Pod

#: What the public InterLink always sends beside the pod; plugins may rely on the keys being there.
JOB_CONFIG: dict[str, Any] = {
    "SingularityHubProxy": {"server": "", "master_token": "", "cache_validity_seconds": 0},
    "ApptainerOptions": {
        "executable": "",
        "fakeroot": False,
        "containall": False,
        "fuseMode": "",
        "noInit": False,
        "noHome": False,
        "noPrivs": False,
        "nvidiaSupport": False,
        "cleanenv": False,
        "unsquash": False,
    },
    "Volumes": {
        "scratch_area": "",
        "apptainer_cachedir": "",
        "image_dir": "",
        "additional_directories_in_path": None,
        "fuse_sleep_seconds": 0,
    },
}


class PluginCreateRequest(msgspec.Struct, kw_only=True):
    """RetrievedPodData with the pod's bytes as the virtual kubelet sent them: nothing of it gets lost on the way."""

    pod: msgspec.Raw
    container: list[RetrievedContainer]
    job_config: dict[str, Any] = msgspec.field(default_factory=lambda: JOB_CONFIG, name="jobConfig")
    #: Not sent to plugins where there are none: theirs do not know the field.
    image_pull_secrets: list[dict[str, Any]] | msgspec.UnsetType = msgspec.field(
        default=msgspec.UNSET, name="imagePullSecrets"
    )


def plugin_request(request: PodCreateRequest, pod: Pod) -> PluginCreateRequest:
    """Return the plugin's request: each container with the contents of the volumes that it mounts."""
    containers = [*(pod.spec.initContainers or []), *pod.spec.containers]
    return PluginCreateRequest(
        pod=request.pod,
        container=[_retrieved(container, pod, request) for container in containers],
        image_pull_secrets=request.imagePullSecrets or msgspec.UNSET,
    )


def _retrieved(container: Container, pod: Pod, request: PodCreateRequest) -> RetrievedContainer:
    mounted = {mount.name for mount in container.volumeMounts or []}
    volumes = [volume for volume in pod.spec.volumes or [] if volume.get("name") in mounted]
    config_maps = {_source(volume, "configMap", "name") for volume in volumes}
    secrets = {_source(volume, "secret", "secretName") for volume in volumes}
    return RetrievedContainer(
        name=container.name,
        configMaps=_named(request.configmaps, config_maps),
        secrets=_named(request.secrets, secrets),
        projectedvolumemaps=_named(request.projectedvolumesmaps, mounted),
        emptyDirs=[str(volume["name"]) for volume in volumes if "emptyDir" in volume] or None,
    )


def _source(volume: dict[str, Any], kind: str, field: str) -> str:
    source = volume.get(kind)
    return str(source.get(field, "")) if isinstance(source, dict) else ""


def _named(objects: list[dict[str, Any]] | None, names: set[str]) -> list[dict[str, Any]] | None:
    return [item for item in objects or [] if (item.get("metadata") or {}).get("name") in names] or None
