"""`make kustomizations`: writes the manifests of kustomizations/ from the templates that the Ansible role uses."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from tests.demo.project import ROOT

TEMPLATES = ROOT / "templates" / "cluster"
HEAD = "# Made from templates/cluster/{}.yaml.j2 by `make kustomizations`; change that one, or kustomization.yaml.\n"


@dataclass(frozen=True)
class Kustomization:
    """One folder of manifests, with the names that stand in it until its kustomization.yaml is changed."""

    folder: Path
    namespace: str
    node: str
    #: What comes from a template; kustomization.yaml makes the ConfigMap, and the token's Secret is the user's own.
    manifests: tuple[str, ...]
    #: Whether its virtual kubelet runs in a batch job, whose end is the node's.
    walltime: bool = False


INSTALL = Kustomization(
    ROOT / "kustomizations", "vk", "interlink", ("namespace", "rbac", "flowschema", "poddisruptionbudget", "deployment")
)
PILOT = Kustomization(
    ROOT / "kustomizations" / "pilot", "vk-pilot", "pilot", ("namespace", "rbac", "flowschema"), walltime=True
)


def variables(which: Kustomization, namespace: str = "", node: str = "", manager: str = "kustomize") -> dict[str, Any]:
    """Return what the templates are filled in with; other values change what kustomization.yaml's settings change."""
    virtual_kubelet = {
        "name": which.node,
        "nodes": [node or which.node],
        "object": f"vk-{which.node}",
        "cluster_object": f"{which.namespace}-vk-{which.node}",
        "object_labels": {
            "app.kubernetes.io/name": "interlink-vk",
            "app.kubernetes.io/instance": which.node,
            "app.kubernetes.io/managed-by": manager,
        },
        "image": "interlink-vk:latest",
        "replicas": 2,
        "node_selector": {},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    }
    return {
        "interlink_namespace": namespace or which.namespace,
        "cluster_manager": manager,
        "cluster_nodes": [virtual_kubelet],
        "cluster_walltime": which.walltime,
    }


def manifest(name: str, which: Kustomization = INSTALL, **settings: str) -> str:
    """Return the text of the folder's NAME.yaml, or what it would be with other settings."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["to_json"] = json.dumps
    text = environment.get_template(f"{name}.yaml.j2").render(variables(which, **settings))
    return HEAD.format(name) + text.lstrip("\n")


def main() -> None:
    """Write all of them."""
    for which in (INSTALL, PILOT):
        for name in which.manifests:
            (which.folder / f"{name}.yaml").write_text(manifest(name, which))


if __name__ == "__main__":
    main()
