"""`make kustomizations`: writes the manifests of kustomizations/ from the templates that the Ansible role uses."""

import json
from typing import Any

import jinja2

from tests.demo.project import ROOT

TEMPLATES = ROOT / "templates" / "cluster"
FOLDER = ROOT / "kustomizations"
#: What comes from a template; kustomization.yaml makes the ConfigMap, and the token's Secret is the user's own.
MANIFESTS = ("namespace", "rbac", "flowschema", "poddisruptionbudget", "deployment")
NAMESPACE, NODE = "vk", "interlink"
HEAD = "# Made from templates/cluster/{}.yaml.j2 by `make kustomizations`; change that one, or kustomization.yaml.\n"


def variables(namespace: str = NAMESPACE, node: str = NODE, manager: str = "kustomize") -> dict[str, Any]:
    """Return what the templates are filled in with; other values change what kustomization.yaml's settings change."""
    virtual_kubelet = {
        "name": NODE,
        "nodes": [node],
        "object": f"vk-{NODE}",
        "cluster_object": f"{NAMESPACE}-vk-{NODE}",
        "object_labels": {
            "app.kubernetes.io/name": "interlink-vk",
            "app.kubernetes.io/instance": NODE,
            "app.kubernetes.io/managed-by": manager,
        },
        "image": "interlink-vk:latest",
        "replicas": 2,
        "node_selector": {},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    }
    return {"interlink_namespace": namespace, "cluster_manager": manager, "cluster_nodes": [virtual_kubelet]}


def manifest(name: str, **settings: str) -> str:
    """Return the text of kustomizations/NAME.yaml, or what it would be with other settings."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["to_json"] = json.dumps
    return HEAD.format(name) + environment.get_template(f"{name}.yaml.j2").render(variables(**settings)).lstrip("\n")


def main() -> None:
    """Write all of them."""
    for name in MANIFESTS:
        (FOLDER / f"{name}.yaml").write_text(manifest(name))


if __name__ == "__main__":
    main()
