"""``interlink vk`` as a process of its own, started by its forebears' command lines, against the real cluster."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

#: Nothing listens there: the node offers what the files say.
NO_INTERLINK = {"INTERLINKURL": "http://127.0.0.1", "INTERLINKPORT": "9"}


class Process:
    """One virtual kubelet at a time; ``name`` is its node's."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        self.bed = bed
        self.folder = folder
        self.name = f"e2e-{uuid.uuid4().hex[:8]}"
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start it in a folder of its own, where it finds no configuration but the one it is told of."""
        known = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "NODENAME")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "interlink.cli.main", "vk", *flags],
                cwd=self.folder,
                env={**known, **NO_INTERLINK, "KUBELET_PORT": "0", **environment},
                stdout=log,
                stderr=log,
            )
        return self.process

    def end(self, number: signal.Signals) -> int:
        """Send it a signal, and return its exit status."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def node(self) -> dict[str, Any]:
        """Return the node, an empty object where there is none."""
        text = self.bed.kubectl("get", "node", self.name, "--ignore-not-found", "-o", "json")
        found: dict[str, Any] = json.loads(text or "{}")
        return found

    def wait_registered(self) -> dict[str, Any]:
        """Wait until the node is there, with its annotation."""
        return wait_for(
            "the node",
            self.node,
            lambda found: "interlink.io/owned" in (found.get("metadata") or {}).get("annotations", {}),
            within=30,
        )


@pytest.fixture
def vk(bed: Bed, tmp_path: Path) -> Iterator[Process]:
    vk = Process(bed, tmp_path)
    yield vk
    if vk.process and vk.process.poll() is None:
        vk.process.kill()
        vk.process.wait()
    bed.kubectl("delete", "node", vk.name, "--ignore-not-found")


def test_knocs_command_line_makes_a_node_with_the_tables_resources(vk: Process, bed: Bed) -> None:
    table = {vk.name: {"cpu": "4", "memory": "32Gi", "pods": "128", "others": {"nvidia.com/gpu": "2"}}}
    (vk.folder / "knoc-cfg.json").write_text(json.dumps(table))
    vk.start(
        *("--", "--nodename", vk.name, "--provider", "knoc", "--provider-config", "./knoc-cfg.json"),
        *("--startup-timeout", "30s", "--kubeconfig", str(bed.kubeconfig), "--klog.v", "2", "--klog.logtostderr"),
    )
    found = vk.wait_registered()
    capacity = found["status"]["capacity"]
    assert {name: capacity[name] for name in ("cpu", "memory", "pods", "nvidia.com/gpu")} == {
        "cpu": "4", "memory": "32Gi", "pods": "128", "nvidia.com/gpu": "2",
    }  # fmt: skip
    assert vk.end(signal.SIGTERM) == 0
    assert "flag --provider means nothing here" in vk.log.read_text()


def test_jiriafs_environment_makes_its_labels_and_a_killed_one_goes_on_to_the_same_end(vk: Process, bed: Bed) -> None:
    environment = {
        "KUBECONFIG": str(bed.kubeconfig), "NODENAME": vk.name, "VKUBELET_POD_IP": "172.17.0.1",
        "JIRIAF_WALLTIME": "3600", "JIRIAF_NODETYPE": "cpu", "JIRIAF_SITE": "Local", "SLURM_JOB_ID": "4711",
    }  # fmt: skip
    flags = ("--provider", "mock", "--klog.v", "3")
    vk.start(*flags, **environment)
    first = vk.wait_registered()
    labels = first["metadata"]["labels"]
    assert {key: labels.get(f"jiriaf.{key}") for key in ("walltime", "nodetype", "site")} == {
        "walltime": "3600", "nodetype": "cpu", "site": "Local",
    }  # fmt: skip
    assert labels["jiriaf.alivetime"] in ("3600", "3540")
    assert first["status"]["addresses"] == [{"type": "InternalIP", "address": "172.17.0.1"}]
    assert vk.end(signal.SIGKILL) == -signal.SIGKILL
    bed.kubectl("label", "node", vk.name, "jiriaf.site-")
    vk.start(*flags, **environment)
    wait_for("the second one's label", lambda: vk.node()["metadata"]["labels"].get("jiriaf.site"), within=30)
    ends = json.loads(first["metadata"]["annotations"]["interlink.io/owned"])["term"]["ends"]
    assert json.loads(vk.node()["metadata"]["annotations"]["interlink.io/owned"])["term"]["ends"] == ends
    assert vk.end(signal.SIGTERM) == 0


def test_a_start_without_a_cluster_ends_in_time_with_words(vk: Process) -> None:
    kubeconfig = vk.folder / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [cluster],
                "contexts": [context],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )
    process = vk.start("--nodename", vk.name, "--kubeconfig", str(kubeconfig), "--startup-timeout", "3s")
    assert process.wait(timeout=30) == 1
    assert "kube-apiserver did not answer within 3 s" in vk.log.read_text()
