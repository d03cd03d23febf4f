"""A Slurm sidecar of a test's own beside the deployed one: the same code on real Slurm, with folders that may break."""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.errors import CommandError

Json = dict[str, Any]
USER = "interlink"
INTERLINK = "/opt/interlink/venv/bin/interlink"


class Sidecar:
    """One sidecar process at a time, on the edge host; what it keeps is below ``root``, which jobs on that host see."""

    def __init__(self, bed: Bed, **settings: Any) -> None:
        self.bed = bed
        self.name = f"sidecar-{uuid.uuid4().hex[:8]}"
        self.root = f"/srv/{self.name}"
        self.state, self.data = f"{self.root}/state", f"{self.root}/data"
        self.settings = {
            "SidecarURL": f"unix://{self.root}/socket/s.sock",
            "DataRootFolder": self.data,
            "StateFolder": self.state,
            "AllowHostRuntime": True,
            **settings,
        }
        self._gate = 0

    def prepare(self, disk: str = "") -> None:
        """Make the folders; with ``disk`` state and data lie on a disk of that size of their own."""
        self.bed.site(["install", "-d", "-o", USER, "-m", "755", self.root])
        if disk:
            self.bed.site(["mount", "-t", "tmpfs", "-o", f"size={disk},mode=755,uid={USER}", "tmpfs", self.root])
        folders = [self.state, self.data, f"{self.root}/socket"]
        self.bed.site(["install", "-d", "-o", USER, "-g", USER, "-m", "711", *folders])
        self._write("config.yaml", yaml.safe_dump(self.settings))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        limits = [f"--uid={USER}", f"--unit={self.name}", "--quiet", "--collect"]
        command = [INTERLINK, "slurm", "--config", f"/run/{self.name}.config.yaml"]
        self.bed.site(["systemd-run", *limits, "--property=KillMode=control-group", *command])
        wait_for("the sidecar to answer", lambda: self.ask("changes")[0] == 200, within=30)

    def kill(self) -> None:
        """End it without any goodbye."""
        self.bed.site(["systemctl", "kill", "--signal=KILL", "--kill-whom=all", self.name])
        wait_for("its end", lambda: not self._lives(), within=20)

    def remove(self) -> None:
        """End it, and remove all of it with its jobs."""
        if self._lives():
            self.kill()
        for uid in self._uids():
            self.bed.site(["sh", "-c", f"squeue -ho '%A %k' | grep {uid} | cut -d' ' -f1 | xargs -r scancel"])
        self.bed.site(["sh", "-c", f"umount {self.root} 2>/dev/null; rm -rf {self.root} /run/{self.name}.*"])

    def until_let_go(self, then: str) -> str:
        """Return a script that waits for ``let_go`` and goes on then, however slow the machine is."""
        return f"until [ -e /run/{self.name}.go{self._gate} ]; do sleep 0.1; done; {then}"

    def let_go(self) -> None:
        """Have the scripts go on that were made since the last time."""
        self.bed.site(["touch", f"/run/{self.name}.go{self._gate}"])
        self._gate += 1

    def create(self, pod: Json, wait: float = 60) -> tuple[int, Json]:
        """Ask for the pod's job; return the HTTP status and the answer."""
        return self.ask("create", {"pod": pod, "container": []}, wait)

    def create_once_slurm_answers(self, pod: Json) -> tuple[int, Json]:
        """As ``create``, but not with the 503 of a sidecar that met Slurm away and asks it again after 2 s only.

        Right after a change of slurm.conf that may be so.
        """
        return wait_for("Slurm to answer", lambda: self.create(pod), lambda answer: answer[0] != 503, within=30)

    def delete(self, pod: Json) -> int:
        """Ask for the pod's end; return the HTTP status."""
        return self.ask("delete", pod)[0]

    def status(self, pod: Json) -> Json:
        """Return the pod's status, an empty one where it is not known."""
        code, answer = self.ask("status", [pod])
        assert code == 200, answer
        return dict(answer[0]) if answer else {}

    def wait_ended(self, pod: Json, within: float = 90) -> Json:
        """Wait until nothing of the pod runs, and return its last status."""
        return wait_for("the pod's end", lambda: self.status(pod), lambda seen: bool(seen.get("ended")), within)

    def ask(self, path: str, body: Any = None, wait: float = 60) -> tuple[int, Any]:
        """Send one request; return the HTTP status (0 for no answer) and the JSON, or the text, that came."""
        words = ["curl", "--silent", "--max-time", str(wait), "--write-out", "\n%{http_code}"]
        if body is not None:
            words += ["--data-binary", json.dumps(body)]
        try:
            answer = self.bed.site([*words, "--unix-socket", f"{self.root}/socket/s.sock", f"http://localhost/{path}"],
                                   timeout=wait + 10)  # fmt: skip
        except CommandError as error:
            answer = f"{error}\n0"
        text, _, code = answer.rpartition("\n")
        try:
            return int(code), json.loads(text)
        except ValueError:
            return int(code), text

    def _lives(self) -> bool:
        states = self.bed.site(["systemctl", "show", "--property=ActiveState", self.name])
        return "=inactive" not in states and "=failed" not in states

    def _uids(self) -> Sequence[str]:
        return self.bed.site(["sh", "-c", f"ls {self.data}/jobs 2>/dev/null || true"]).split()

    def _write(self, name: str, text: str) -> None:
        self.bed.docker.exec("interlink-edge", ["tee", f"/run/{self.name}.{name}"], stdin=text)


@contextmanager
def own_sidecar(bed: Bed, disk: str = "", **settings: Any) -> Iterator[Sidecar]:
    """Run a sidecar for the time of the block; ``settings`` are keys of its configuration."""
    sidecar = Sidecar(bed, **settings)
    sidecar.prepare(disk)
    try:
        sidecar.start()
        yield sidecar
    finally:
        sidecar.remove()


def small_pod(script: str, **spec: Any) -> Json:
    """Return a pod as kube-apiserver has it, which runs on the edge host without a container runtime."""
    uid = str(uuid.uuid4())
    annotations = {"slurm-job.vk.io/container-runtime": "none", "slurm-job.vk.io/flags": "--nodelist=edge"}
    container = {"name": "main", "image": "none", "command": ["sh", "-c", script],
                 "resources": {"limits": {"cpu": "1", "memory": "64Mi"}}}  # fmt: skip
    return {
        "metadata": {"name": f"p-{uid[:8]}", "namespace": "faults", "uid": uid, "annotations": annotations},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 3, "containers": [container], **spec},
    }


def state_of(status: Json) -> Json:
    """Return the state of a small pod's container."""
    state: Json = status["containers"][0]["state"]
    return state
