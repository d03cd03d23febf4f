"""The Ansible inventory of the bed: what playbooks must know of this site, as an administrator would write it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import images, site
from .errors import UnhealthyError
from .layout import Host

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

PYTHON = "/usr/bin/python3"
#: What the end-to-end tests of jobs choose from.
PHYSICS = "e2e-physics"
FLAVORS = {
    "brief": {"Partition": "short", "QOS": "urgent", "CPUDefault": 2, "MemoryDefault": "96M"},
    "card": {"SlurmFlags": ["--gres=gpu:a100:1", "--nodelist=edge"]},
}
JOB_NAMESPACES = {PHYSICS: {"Account": "interlink", "Flavor": "brief", "Forced": ["--qos=normal"]}}

#: What pods may see of the site's hosts; the end-to-end tests of volumes make it.
OPEN, READ_ONLY = "/var/tmp/e2e-open", "/var/tmp/e2e-read-only"
HOST_PATHS = [{"Path": OPEN}, {"Path": READ_ONLY, "ReadOnly": True}]
CLAIMS = [{"Namespace": "e2e-*", "Claim": "data-*", "Path": f"{OPEN}/claims/{{namespace}}/{{claim}}", "Create": True}]


def content(bed: Bed) -> dict[str, Any]:
    """Return the inventory as data."""
    edges = [host for host in bed.layout.site if "edge" in host.roles]
    others = [host for host in bed.layout.site if "edge" not in host.roles]
    groups: dict[str, Any] = {
        "edge": {"hosts": {host.name: _ssh_host(bed, host) for host in edges}, "vars": _site_vars(bed)},
        "cluster": {
            "hosts": {
                "cluster": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                    "interlink_kubeconfig": str(bed.kubeconfig),
                }
            }
        },
    }
    if others:
        groups["site"] = {"hosts": {host.name: _ssh_host(bed, host) for host in others}}
    return {"all": {"children": groups, "vars": _common_vars(bed)}}


def _ssh_host(bed: Bed, host: Host) -> dict[str, Any]:
    options = f"-o UserKnownHostsFile={bed.paths.known_hosts} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
    return {
        "ansible_host": bed.network.address(host),
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(bed.paths.ssh_key),
        "ansible_ssh_common_args": f"-F none {options}",
        "ansible_python_interpreter": PYTHON,
    }


def _site_vars(bed: Bed) -> dict[str, Any]:
    return {
        "interlink_shared_folder": site.SHARED,
        "interlink_wheel_cache": site.WHEELS,
        "interlink_allow_host_runtime": True,
        "interlink_flavors": FLAVORS,
        "interlink_job_namespaces": JOB_NAMESPACES,
        "interlink_pre_exec_namespaces": [PHYSICS],
        "interlink_config": {"HostPaths": HOST_PATHS, "PersistentVolumeClaims": CLAIMS},
        "interlink_uid": site.SERVICE_ID,
        "interlink_gid": site.SERVICE_ID,
    }


def _common_vars(bed: Bed) -> dict[str, Any]:
    return {
        "interlink_image_prefix": f"docker://{bed.registry_address}/",
        "interlink_edge_address": bed.edge_address,
        "interlink_base_image": images.tag(bed, "base"),
    }


def render(bed: Bed) -> str:
    """Return the inventory as YAML."""
    return "# Written by tests/testbed; `up` writes it anew.\n---\n" + "\n".join(_lines(content(bed))) + "\n"


def _lines(tree: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield YAML lines; every scalar is written as JSON, which is YAML too."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield f"{'  ' * depth}{key}:"
            yield from _lines(value, depth + 1)
        else:
            yield f"{'  ' * depth}{key}: {json.dumps(value)}"


def health(bed: Bed) -> str:
    """Say where it is; raises UnhealthyError if it is missing or says something else."""
    if not bed.inventory.exists() or bed.inventory.read_text() != render(bed):
        raise UnhealthyError("the inventory is not written")
    return str(bed.inventory)


def up(bed: Bed, step: Step) -> None:
    """Write the inventory."""
    step.say(f"writing {bed.inventory}")
    bed.inventory.write_text(render(bed))
