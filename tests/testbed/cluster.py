"""The cluster: one container that is control plane and node, the kubeconfigs, and images that are brought in."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import host, images, kubernetes, layout
from .docker import CLIENT
from .errors import CommandError, TestbedError, UnhealthyError, tail
from .fingerprint import fingerprint
from .host import Container
from .process import run

if TYPE_CHECKING:
    from .bed import Bed
    from .part import Step

SETTINGS = "/etc/testbed/cluster"
PKI = "/etc/testbed/pki"
USERS = ("admin", "controller-manager", "scheduler", "kubelet", "kube-proxy")
CTR = ("ctr", "--namespace=k8s.io", "images")
IMAGE_LABEL = "interlink.testbed/image-id"


def settings(bed: Bed) -> Path:
    """Return the folder that the cluster's container reads as /etc/testbed/cluster."""
    return bed.paths.run / "cluster"


def container(bed: Bed) -> Container:
    """Return the declaration of the cluster's container."""
    mounts = {
        kubernetes.folder(bed): "/opt/kubernetes:ro",
        bed.paths.pki: f"{PKI}:ro",
        settings(bed): f"{SETTINGS}:ro",
        bed.paths.logs / "cluster": "/var/log/testbed",
    }
    authority = bed.paths.pki / "ca.crt"
    return Container(
        host=bed.layout.cluster,
        image=images.tag(bed, "cluster"),
        options=("--init", *(f"--volume={source}:{target}" for source, target in mounts.items())),
        inputs=fingerprint(json.dumps(facts(bed)), _resolv_conf(), authority) if authority.exists() else "",
        volumes=("/var/lib/etcd", "/var/lib/containerd", "/var/lib/kubelet"),
    )


def facts(bed: Bed) -> dict[str, str]:
    """Return what the supervisor puts in place of `@words@`."""
    return {
        "address": bed.network.address(bed.layout.cluster),
        "api_port": str(layout.API_PORT),
        "service_cidr": layout.SERVICE_CIDR,
        "pod_cidr": layout.POD_CIDR,
        "node_pod_cidr": layout.NODE_POD_CIDR,
        "node": layout.CLUSTER_NODE,
        "pki": PKI,
        "settings": SETTINGS,
        "sandbox": f"{bed.registry_address}/pause:latest",
        "registry_hosts": json.dumps({name: _registry_hosts(bed) for name in (bed.registry_address, "docker.io")}),
    }


def _registry_hosts(bed: Bed) -> str:
    address = f"https://{bed.registry_address}"
    return f'server = "{address}"\n[host."{address}"]\n  capabilities = ["pull", "resolve"]\n  ca = "{PKI}/ca.crt"\n'


def _resolv_conf() -> str:
    """Return the machine's name servers as pods can use them: none that listens on the machine's loopback."""
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    reachable = [server for server in servers if not ipaddress.ip_address(server.split("%")[0]).is_loopback]
    return "".join(f"nameserver {server}\n" for server in reachable)


def write_settings(bed: Bed) -> None:
    """Write the kubeconfigs and facts, and the administrator's kubeconfig for use outside."""
    folder = settings(bed)
    folder.mkdir(parents=True, exist_ok=True)
    (bed.paths.logs / "cluster").mkdir(parents=True, exist_ok=True)
    for user in USERS:
        kubeconfig = _kubeconfig(bed, user, f"https://127.0.0.1:{layout.API_PORT}")
        (folder / f"{user}.conf").write_text(kubeconfig)
    (folder / "facts.json").write_text(json.dumps(facts(bed), indent=2))
    (folder / "resolv.conf").write_text(_resolv_conf())
    bed.paths.kubeconfig.touch(mode=0o600)
    bed.paths.kubeconfig.write_text(_kubeconfig(bed, "admin", api_url(bed)))


def api_url(bed: Bed) -> str:
    """Return the API server's address as the machine and the site reach it."""
    return f"https://{bed.network.address(bed.layout.cluster)}:{layout.API_PORT}"


def _kubeconfig(bed: Bed, user: str, server: str) -> str:
    def data(name: str) -> str:
        return base64.b64encode((bed.paths.pki / name).read_bytes()).decode()

    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "testbed", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": data(f"{user}.crt"),
                        "client-key-data": data(f"{user}.key"),
                    },
                }
            ],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": user, "namespace": "default"}}],
            "current-context": "testbed",
        },
        indent=2,
    )


def health(bed: Bed) -> str:
    """Say that the API server is ready and the node too; raises UnhealthyError with what is not."""
    host.health(bed, container(bed))
    if not bed.paths.kubeconfig.exists():
        raise UnhealthyError("there is no kubeconfig")
    node = layout.CLUSTER_NODE
    try:
        bed.kubectl("get", "--raw", "/readyz")
        bed.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/healthz")  # its Ready condition outlives a kubelet
        found = json.loads(bed.kubectl("get", f"node/{node}", "serviceaccount/default", "-n", "default", "-o", "json"))
    except TestbedError as error:
        raise UnhealthyError(str(error)) from error
    state: dict[str, Any] = found["items"][0]
    for condition in state["status"].get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True" and not state["spec"].get("taints"):
            return f"{api_url(bed)} is ready, so is {node}"
        if condition["type"] == "Ready" and condition["status"] != "True":
            raise UnhealthyError(f"{node} is not ready: {condition['message']}")
    raise UnhealthyError(f"{node} is tainted: {state['spec'].get('taints')}")


def up(bed: Bed, step: Step) -> None:
    """Bring the cluster up."""
    write_settings(bed)
    host.ensure(bed, step, container(bed), lambda: health(bed), within=120)


def kubectl_health(bed: Bed) -> str:
    """Say that the kubectl of the cluster's image is at hand; raises UnhealthyError if not."""
    stamp = bed.paths.bin / ".kubectl-image"
    if not stamp.exists() or stamp.read_text() != images.tag(bed, "cluster"):
        raise UnhealthyError("there is no kubectl of this cluster's image")
    return str(bed.paths.bin / "kubectl")


def kubectl_up(bed: Bed, step: Step) -> None:
    """Take kubectl out of the cluster's image, and put Debian's docker client beside it."""
    image, target = images.tag(bed, "cluster"), bed.paths.bin / "kubectl"
    step.say(f"taking kubectl out of {image}")
    created = bed.docker("container", "create", "--label", layout.LABEL, image).strip()
    try:
        bed.docker("cp", f"{created}:/usr/bin/kubectl", target)
    finally:
        bed.docker.remove_container(created)
    run([target, "version", "--client"])
    docker = bed.paths.bin / "docker"
    docker.unlink(missing_ok=True)
    docker.symlink_to(CLIENT)
    (bed.paths.bin / ".kubectl-image").write_text(image)


def has_image(bed: Bed, name: str, identity: str) -> bool:
    """Return whether the cluster's containerd has this very image under this name."""
    query = f'name=="{full_name(name)}",labels."{IMAGE_LABEL}"=="{identity}"'
    try:
        return bool(_ctr(bed, "list", "--quiet", query).strip())
    except CommandError as error:
        raise UnhealthyError(f"containerd: {error}") from error


def load_image(bed: Bed, name: str) -> bool:
    """Bring an image of Docker's into the cluster; return False if it was there already.

    Raises TestbedError if Docker has no such image.
    """
    image = bed.docker.inspect("image", name)
    if image is None:
        raise TestbedError(f"Docker ({bed.docker.host}) has no image {name}")
    if has_image(bed, name, image["Id"]):
        return False
    # Two pipes and not one shell line: `docker save` may fail while the import ends well.
    saving = [CLIENT, "save", name]
    importing = [CLIENT, "exec", "--interactive", bed.layout.cluster.container, *CTR, "import", "-"]
    env = {**os.environ, **bed.docker.environment}
    with subprocess.Popen(saving, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as save:
        load = subprocess.run(importing, env=env, stdin=save.stdout, capture_output=True, check=False, timeout=300)
        complaint = save.stderr.read() if save.stderr else b""
    for command, status, words in ((saving, save.returncode, complaint), (importing, load.returncode, load.stderr)):
        if status != 0:
            raise CommandError(command, status, tail(words.decode(errors="replace")))
    _ctr(bed, "label", full_name(name), f"{IMAGE_LABEL}={image['Id']}")
    return True


def _ctr(bed: Bed, *words: str) -> str:
    return bed.docker.exec(bed.layout.cluster.container, [*CTR, *words])


def full_name(name: str) -> str:
    """Return an image's name as containerd has it: with registry and tag."""
    first, _, rest = name.partition("/")
    if not rest:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
