"""The sidecar's client in the benchmark: keep-alive connections on the unix socket, as the InterLink API holds them."""

import json
import multiprocessing
import re
import socket
import threading
import time
import uuid
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benchmarks.figures import CannotMeasureError


class Connection(HTTPConnection):
    """One keep-alive connection."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=120)
        self._path = str(path)

    def connect(self) -> None:
        """Connect to the unix socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def ask(self, target: str, body: bytes | None = None) -> Any:
        """Return the JSON answer. Raises CannotMeasureError for any status but 200."""
        self.request("GET" if body is None else "POST", target, body)
        answer = self.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise CannotMeasureError(f"{target}: {answer.status} {data[:500]!r}")
        return json.loads(data) if data.startswith((b"{", b"[")) else data


def pod(uid: str, script: str = "sleep 1000", **spec: Any) -> dict[str, Any]:
    """Return a small pod as kube-apiserver has it; it runs on the host, so that no image is pulled."""
    container = {
        "name": "main",
        "image": "busybox",
        "command": ["/bin/sh", "-c", script],
        "env": [{"name": f"VARIABLE_{number}", "value": f"value {number}"} for number in range(10)],
        "resources": {"requests": {"cpu": "1", "memory": "16Mi"}, "limits": {"memory": "16Mi"}},
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"pod-{uid[:8]}",
            "namespace": "bench",
            "uid": uid,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "bench"},
            "annotations": {"slurm-job.vk.io/container-runtime": "none"},
        },
        "spec": {
            "containers": [container],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "dnsPolicy": "ClusterFirst",
            "nodeName": "bench",
            "serviceAccountName": "default",
            "tolerations": [{"key": "virtual-node.interlink/no-schedule", "operator": "Exists"}],
            **spec,
        },
        "status": {"phase": "Pending"},
    }


def create_request(uid: str, **fields: Any) -> bytes:
    """Return the body of /create for a pod."""
    return json.dumps({"pod": pod(uid, **fields), "container": [{"name": "main"}]}).encode()


def create_pods(path: Path, count: int, threads: int = 8) -> float:
    """Create pods from several threads of another process; return the seconds that it took."""
    queue: multiprocessing.SimpleQueue[float | str] = multiprocessing.SimpleQueue()
    worker = multiprocessing.Process(target=_create_all, args=(path, count, threads, queue))
    worker.start()
    worker.join()
    taken = "the client process died" if queue.empty() else queue.get()
    if isinstance(taken, str):
        raise CannotMeasureError(taken)
    return taken


def _create_all(path: Path, count: int, threads: int, queue: "multiprocessing.SimpleQueue[float | str]") -> None:
    requests = [_as_bytes(create_request(str(uuid.uuid4()))) for _ in range(count)]
    faults: list[str] = []

    def run(share: list[bytes]) -> None:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(120)
                connection.connect(str(path))
                for request in share:
                    connection.sendall(request)
                    _expect_200(connection)
        except (CannotMeasureError, OSError) as error:
            faults.append(str(error))

    workers = [threading.Thread(target=run, args=(requests[number::threads],)) for number in range(threads)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    queue.put(faults[0] if faults else time.monotonic() - began)


def _as_bytes(body: bytes) -> bytes:
    """Return the whole request: on two cores the client's own work is taken from what it measures."""
    return b"POST /create HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _expect_200(connection: socket.socket) -> None:
    """Read one whole answer. Raises CannotMeasureError for any status but 200."""
    answer = b""
    while True:
        head, end, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head) if end else None
        if length and len(body) >= int(length[1]):
            break
        more = connection.recv(65536)
        if not more:
            raise CannotMeasureError(f"the sidecar broke off: {answer[:500]!r}")
        answer += more
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
        raise CannotMeasureError(f"/create: {answer[:500]!r}")
