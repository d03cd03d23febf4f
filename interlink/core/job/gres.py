"""Kubernetes' extended resources ↔ Slurm's generic ones (GRES), by the administrator's tables.

``nvidia.com/gpu: 2`` becomes ``gpu:2``, or ``gpu:a100:2`` where the node selector or the flavor says which; the other
way the site's GRES become what its virtual node offers. Called by ``resources``, ``placement`` and the ping reply.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from interlink.core.errors import UnsupportedPod
from interlink.core.job.annotations import PREFIX
from interlink.core.job.numbers import MOST, bounded
from interlink.wire.pod import Pod

#: Labels of a node that say which accelerator it has: NVIDIA's and AMD's node labellers, and our own.
TYPE_SELECTORS = ("nvidia.com/gpu.product", "amd.com/gpu.product-name", f"{PREFIX}gres-type")
#: What a container runtime calls the makers of accelerators, by the domain of the resource.
MAKERS: dict[str, Literal["nvidia", "amd"]] = {"nvidia.com": "nvidia", "amd.com": "amd"}
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,64}")
_ITEM = re.compile(
    r"(?P<name>[A-Za-z0-9_.+-]+)(?::(?P<type>[A-Za-z_.+-][A-Za-z0-9_.+-]*))?(?::(?P<count>[0-9]{1,10}))?"
)


@dataclass(frozen=True)
class GresTable:
    """``names``: a resource's name → GRES, as ``gpu`` or ``gpu:a100``; ``types``: a label's value → type."""

    names: Mapping[str, str] = field(default_factory=lambda: {"nvidia.com/gpu": "gpu", "amd.com/gpu": "gpu"})
    types: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise UnsupportedPod for a name or type that Slurm could take for two."""
        for what in (*(part for gres in self.names.values() for part in gres.split(":", 1)), *self.types.values()):
            if not _NAME.fullmatch(what):
                raise UnsupportedPod(f"{what[:60]!r} is no name or type of a GRES")

    def selected_type(self, pod: Pod) -> str:
        """Return the type that the pod's node selector asks for, "" where it does not say.

        Raises UnsupportedPod for one that the table does not know: any other card would be the wrong one.
        """
        for label in TYPE_SELECTORS:
            wanted = (pod.spec.nodeSelector or {}).get(label)
            if not wanted:
                continue
            if wanted in self.types:
                return self.types[wanted]
            if label == TYPE_SELECTORS[-1] and _NAME.fullmatch(wanted):
                return wanted
            raise UnsupportedPod(
                f"nodeSelector {label}: {wanted[:80]!r} has no GRES type on this site; "
                "its administrator can give it one in GresTypes"
            )
        return ""

    def offered(self, gres: Mapping[str, int]) -> dict[str, int]:
        """Return what a node with these GRES (``gpu`` or ``gpu:a100`` → pieces) offers, by Kubernetes' names.

        Each GRES goes to the first name of the table that means it, so that no card is offered twice.
        """
        offered: dict[str, int] = {}
        for key, pieces in gres.items():
            own = next((name for name, meant in self.names.items() if meant == key), None)
            general = next((name for name, meant in self.names.items() if meant == key.partition(":")[0]), None)
            resource = own or general
            if resource:
                offered[resource] = offered.get(resource, 0) + pieces
        return offered


def maker(resource: str) -> Literal["", "nvidia", "amd"]:
    """Return whose driver a container with this resource needs, "" where that is nobody's that we know."""
    return MAKERS.get(resource.partition("/")[0], "")


def parse_gres(where: str, text: str) -> dict[str, int]:
    """Return sbatch's --gres (``gpu:2,fpga``, ``gres/gpu:a100:1``) as pieces by name or by name and type."""
    found: dict[str, int] = {}
    for item in text.split(","):
        match = _ITEM.fullmatch(item.removeprefix("gres/").removeprefix("gres:"))
        if match is None:
            raise UnsupportedPod(f"{where}: {item[:60]!r} is no GRES; write name[:type][:count]")
        key = match["name"] + (f":{match['type']}" if match["type"] else "")
        found[key] = bounded(f"{where}: {key}", found.get(key, 0) + int(match["count"] or 1), most=MOST)
    return found


def gres_items(pieces: Mapping[str, int]) -> tuple[str, ...]:
    """Return sbatch's way of writing them, without those of which there is none."""
    return tuple(f"{key}:{number}" for key, number in pieces.items() if number)
