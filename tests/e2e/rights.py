"""A kubeconfig with the rights that kustomizations/pilot gives, for a virtual kubelet outside of the cluster."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.demo.kustomizations import PILOT
from tests.testbed.bed import Bed


def put_once(file: Path, changes: dict[str, str]) -> None:
    """Replace texts of a file, each of which stands there once."""
    text = file.read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(text)


@contextmanager
def pilot_rights(bed: Bed, folder: Path, namespace: str, node: str) -> Iterator[Path]:
    """Give them in a namespace of their own for the time of the block."""
    manifests = folder / "pilot"
    shutil.copytree(PILOT.folder, manifests)
    settings = {f"namespace={PILOT.namespace}": f"namespace={namespace}", f"node={PILOT.node}": f"node={node}"}
    put_once(manifests / "kustomization.yaml", settings)
    words = ("-n", namespace, "-k", str(manifests))
    bed.kubectl("apply", *words)
    try:
        token = bed.kubectl("-n", namespace, "create", "token", f"vk-{PILOT.node}").strip()
        config = yaml.safe_load(bed.kubeconfig.read_text())
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        file = folder / "pilot.kubeconfig"
        file.touch(0o600)
        file.write_text(yaml.safe_dump(config))
        yield file
    finally:
        bed.kubectl("delete", *words, "--ignore-not-found", "--wait=false")
