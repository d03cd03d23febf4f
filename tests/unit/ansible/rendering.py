"""Renders the project's templates as Ansible would, with the roles' defaults, in a fraction of a second."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jinja2
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = ROOT / "roles"

#: What inventory and facts would say.
SITE = {
    "interlink_root": str(ROOT),
    "interlink_constraints": "",
    "interlink_kubeconfig": "/root/.kube/config",
    "interlink_edge_address": "192.0.2.1",
    "interlink_templates": str(ROOT / "templates"),
    "slurm_sidecar_found": {"systemd": 262},
    "kubeconfig_path": "/etc/interlink/kubeconfig",
}

NODE = {
    "name": "hpc",
    "object": "vk-hpc",
    "nodes": ["hpc"],
    "replicas": 2,
    "cluster_object": "interlink-vk-hpc",
    "object_labels": {"app.kubernetes.io/name": "interlink-vk", "app.kubernetes.io/instance": "hpc"},
    "edge": "edge1",
    "image": "interlink-vk:1",
    "image_id": "",
    "node_selector": {},
    "resources": {"requests": {"cpu": "100m"}},
    "config": "InterlinkURL: http://192.0.2.1\nInterlinkPort: 3000\nNodeName: hpc\n",
}


def role_vars(role: str) -> dict[str, Any]:
    """Return a role's vars as they stand in the file."""
    file = ROLES / role / "vars" / "main.yml"
    return yaml.safe_load(file.read_text()) or {} if file.exists() else {}


def roles() -> list[str]:
    """Return the roles' names."""
    return sorted(path.name for path in ROLES.iterdir() if path.is_dir())


def defaults(role: str) -> dict[str, Any]:
    """Return a role's defaults as they stand in the file."""
    file = ROLES / role / "defaults" / "main.yml"
    return yaml.safe_load(file.read_text()) or {} if file.exists() else {}


def variables(**given: Any) -> dict[str, Any]:
    """Return all roles' defaults, what a site says, and what the test says."""
    found: dict[str, Any] = {}
    for role in roles():
        found |= defaults(role) | role_vars(role)
    return found | SITE | given


def render(template: str, **given: Any) -> str:
    """Return templates/<template> rendered."""
    file = ROOT / "templates" / template
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([file.parent]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {
        "to_json": json.dumps,
        "to_nice_yaml": lambda value, indent=2, sort_keys=True: yaml.safe_dump(
            value, indent=indent, sort_keys=sort_keys, default_flow_style=False
        ),
        "combine": lambda one, *others: {key: value for part in (one, *others) for key, value in part.items()},
        "b64encode": lambda text: base64.b64encode(text.encode()).decode(),
        "hash": lambda text, name: hashlib.new(name, text.encode()).hexdigest(),
    }
    environment.tests["match"] = lambda text, pattern: re.match(pattern, text) is not None
    return environment.get_template(file.name).render(variables(**given))


def objects(template: str, **given: Any) -> list[dict[str, Any]]:
    """Return the Kubernetes objects of a template."""
    given = {"cluster_nodes": [NODE], "cluster_tokens": {"edge1": "t0ken"}} | given
    return [item for item in yaml.safe_load_all(render(template, **given)) if item]
