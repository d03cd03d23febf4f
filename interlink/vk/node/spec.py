"""The node's labels and taints: ours set and corrected, everybody else's left alone.

Pure; called by ``controller.py``. What is ours is remembered in one annotation of the node itself, so that a label or
taint that the configuration no longer has is removed even by a virtual kubelet that was started anew.
"""

import platform
from typing import Any

import msgspec

from interlink.config.nodes import NodeSettings
from interlink.core.labels import EFFECTS, is_label
from interlink.vk.node.capacity import complain
from interlink.vk.node.walltime import Term
from interlink.wire.messages import PingReply

Json = dict[str, Any]

OWNED_ANNOTATION = "interlink.io/owned"
UNREACHABLE_TAINT = {"key": "interlink.io/unreachable", "value": "true", "effect": "NoSchedule"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}


class Owned(msgspec.Struct, omit_defaults=True):
    """The annotation's contents."""

    labels: list[str] = []
    #: ``key:effect`` of each taint.
    taints: list[str] = []
    #: Taints that the plugin asked for, kept because a ping without taints means "unchanged".
    plugin: list[dict[str, str]] = []
    #: Extended resources.
    resources: list[str] = []
    #: When the node ends, where its time is limited.
    term: Term | None = None


def node_labels(settings: NodeSettings) -> dict[str, str]:
    """Return the labels of the node; those of the configuration come last."""
    return {
        "type": "virtual-kubelet",
        "kubernetes.io/role": "agent",
        "kubernetes.io/hostname": settings.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
        **settings.labels,
    }


def architecture() -> str:
    """Return this machine's architecture in Kubernetes' words."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def owned_of(node: Json) -> Owned:
    """Return what the node's annotation says is ours; nothing where it cannot be read."""
    text = (node["metadata"].get("annotations") or {}).get(OWNED_ANNOTATION) or "{}"
    try:
        return msgspec.json.decode(text, type=Owned)
    except msgspec.MsgspecError:
        return Owned()


def wanted_taints(settings: NodeSettings, reply: PingReply | None, owned: Owned, reachable: bool | None) -> list[Json]:
    """Return our own taints: the configuration's, the plugin's, and the one that says that the edge is away."""
    taints: list[Json] = [{"key": taint.key, "value": taint.value, "effect": taint.effect} for taint in settings.taints]
    taints += plugin_taints(reply, owned)
    if reachable is False:
        taints.append(dict(UNREACHABLE_TAINT))
    return list({_identity(taint): taint for taint in taints}.values())


def plugin_taints(reply: PingReply | None, owned: Owned) -> list[dict[str, str]]:
    """Return the plugin's taints: absent in the reply they are what they were."""
    if reply is None or reply.taints is None:
        return owned.plugin
    taints = []
    for taint in reply.taints:
        if is_label(taint.key, taint.value) and taint.effect in EFFECTS:
            taints.append({"key": taint.key, "value": taint.value, "effect": taint.effect})
        else:
            complain(
                f"the site asks for a taint {taint.key!r}={taint.value!r}:{taint.effect!r}, which is none: ignored"
            )
    return taints


def metadata_patch(node: Json, labels: dict[str, str], taints: list[Json], owned: Owned) -> Json | None:
    """Return the patch of nodes/NAME that sets labels, taints and the annotation; None where nothing differs."""
    held_labels = node["metadata"].get("labels") or {}
    before = owned_of(node)
    label_patch: Json = {name: value for name, value in labels.items() if held_labels.get(name) != value}
    label_patch |= {name: None for name in before.labels if name not in labels and name in held_labels}
    held_taints = (node.get("spec") or {}).get("taints") or []
    ours = {*before.taints, *(_identity(taint) for taint in taints), _identity(UNREACHABLE_TAINT)}
    merged = [taint for taint in held_taints if _identity(taint) not in ours] + taints
    annotation = msgspec.json.encode(owned).decode()
    held_annotation = (node["metadata"].get("annotations") or {}).get(OWNED_ANNOTATION)
    taints_differ = _facts(merged) != _facts(held_taints)
    if not label_patch and not taints_differ and annotation == held_annotation:
        return None
    metadata: Json = {"annotations": {OWNED_ANNOTATION: annotation}}
    if label_patch:
        metadata["labels"] = label_patch
    if not taints_differ:
        return {"metadata": metadata}
    # The list is written whole, so another writer's taint must not slip in between.
    metadata["resourceVersion"] = node["metadata"]["resourceVersion"]
    return {"metadata": metadata, "spec": {"taints": merged}}


def taint_names(taints: list[Json]) -> list[str]:
    """Return the identity of each taint."""
    return [_identity(taint) for taint in taints]


def _identity(taint: Json) -> str:
    return f"{taint['key']}:{taint['effect']}"


def _facts(taints: list[Json]) -> list[tuple[str, str]]:
    return sorted((_identity(taint), taint.get("value") or "") for taint in taints)
