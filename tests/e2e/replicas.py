"""Two replicas of a test's own virtual kubelet: processes that can be killed and paused, each behind a cable to cut."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import yaml

from tests.e2e.kubelet import OwnKubelet
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

LEASE = "vk"


class Cable:
    """The way of one replica to kube-apiserver; while it is cut nothing passes, and nobody is told."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.whole = threading.Event()
        self.whole.set()
        self._open = True
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End it and all that goes over it."""
        self._open = False
        self.whole.set()
        for each in (self._listener, *self._sockets):
            _end(each)

    def _accept(self) -> None:
        while self._open:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self.target, timeout=10)
            except OSError:
                continue
            far.settimeout(None)
            self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self.whole.wait()
                sink.sendall(data)
        except OSError:
            pass
        finally:
            _end(source)
            _end(sink)


def _end(each: socket.socket) -> None:
    """Close a socket, and have whoever waits for it in another thread notice."""
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


class Replica:
    """One process ``interlink vk``."""

    def __init__(self, owner: "Replicas", number: int) -> None:
        self.owner = owner
        self.cable = owner.cable()
        self.kubelet_port, self.health_port = _free_port(), _free_port()
        self.log = owner.folder / f"replica{number}.log"
        kubeconfig = yaml.safe_load(owner.bed.kubeconfig.read_text())
        for cluster in kubeconfig["clusters"]:
            cluster["cluster"]["server"] = f"https://127.0.0.1:{self.cable.port}"
        file = owner.folder / f"kubeconfig{number}"
        file.touch(0o600)
        file.write_text(yaml.safe_dump(kubeconfig))
        self.environment = {
            **os.environ,
            "NODENAME": owner.node,
            "KUBECONFIG": str(file),
            "INTERLINKURL": f"http://{owner.bed.edge_address}",
            "VKTOKENFILE": str(owner.token),
            "KUBELET_PORT": str(self.kubelet_port),
            "VKUBELET_POD_IP": f"127.0.0.{number}",
            "LEADER_ELECTION_LEASE": LEASE,
            "LEADER_ELECTION_NAMESPACE": owner.namespace,
            "HEALTH_PORT": str(self.health_port),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process."""
        empty = self.owner.folder / "InterLinkConfig.yaml"
        empty.touch()
        command = [sys.executable, "-m", "interlink.cli.main", "vk", "--config", str(empty)]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, env=self.environment, stdout=output, stderr=output)

    def send(self, number: int) -> None:
        """Send the process a signal."""
        assert self.process
        self.process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Wait until the process has ended; return its exit status."""
        assert self.process
        return self.process.wait(seconds)

    def end(self) -> None:
        """Make sure that nothing of it is left."""
        self.cable.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def ask(self, path: str) -> tuple[int, str]:
        """Ask the health port; 0 for nobody there."""
        try:
            with urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=3) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except (URLError, OSError) as error:
            return 0, str(error)

    @property
    def leads(self) -> bool:
        """Whether it says that it leads."""
        return self.ask("/readyz") == (200, "ok: leading")

    @property
    def is_ready_to_take_over(self) -> bool:
        """Whether it stands by and says that it is well."""
        status, text = self.ask("/readyz")
        return status == 200 and text.startswith("ok: standing by")

    @property
    def is_the_node(self) -> bool:
        """Whether kube-apiserver would ask this one for logs."""
        return self.owner.endpoint() == (self.environment["VKUBELET_POD_IP"], self.kubelet_port)

    @property
    def serves_the_kubelet_port(self) -> bool:
        """Whether its kubelet port is open."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.kubelet_port)) == 0


class Replicas(OwnKubelet):
    """One node with two replicas of its virtual kubelet; their Lease is in the test's namespace."""

    def __init__(self, bed: Bed, folder: Path, namespace: str) -> None:
        super().__init__(bed, folder)
        self.folder = folder
        self.namespace = namespace
        self.token = folder / "token"
        self.members = [Replica(self, 1), Replica(self, 2)]

    def cable(self) -> Cable:
        """Return a new way to kube-apiserver."""
        document = yaml.safe_load(self.bed.kubeconfig.read_text())
        url = urlsplit(document["clusters"][0]["cluster"]["server"])
        return Cable(str(url.hostname), url.port or 443)

    @contextmanager
    def pair(self) -> Iterator[tuple[Replica, Replica]]:
        """Run a leader, which is the node, and a standby; nothing of them is left after the block."""
        leader, standby = self.members
        with ExitStack() as stack:
            stack.callback(self.remove_node)
            for member in self.members:
                stack.callback(member.end)
            leader.start()
            wait_for("the first replica to lead", lambda: leader.leads and leader.is_the_node, within=60)
            standby.start()
            wait_for("the second one to stand by", lambda: standby.is_ready_to_take_over, within=60)
            yield leader, standby

    def object(self) -> dict[str, Any]:
        """Return the node."""
        found: dict[str, Any] = json.loads(self.bed.kubectl("get", "node", self.node, "-o", "json"))
        return found

    def endpoint(self) -> tuple[str, int]:
        """Return address and port at which kube-apiserver asks for logs."""
        status = self.object()["status"]
        addresses = [item["address"] for item in status["addresses"]]
        return addresses[0], status["daemonEndpoints"]["kubeletEndpoint"]["Port"]

    def ready_since(self) -> tuple[str, str]:
        """Return the status of the condition Ready and since when it has it."""
        (ready,) = (item for item in self.object()["status"]["conditions"] if item["type"] == "Ready")
        return ready["status"], ready["lastTransitionTime"]

    def holder(self) -> str:
        """Return who holds the Lease."""
        words = ("-n", self.namespace, "get", "lease", LEASE, "-o", "jsonpath={.spec.holderIdentity}")
        return self.bed.kubectl(*words)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
