"""A kube-apiserver and an etcd of a test's own, so that it may kill, restart and compact them and disturb nobody.

The programs are the bed's; they run on the machine as the test's children, without controllers or a scheduler: pods
are bound as they are made. Whoever has the token is the administrator.
"""

import json
import secrets
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from interlink.vk.apiserver.access import Access
from tests.e2e.waiting import wait_for
from tests.testbed import kubernetes
from tests.testbed.bed import Bed
from tests.testbed.process import run


class Program:
    """One server process, which can be killed and started again."""

    def __init__(self, command: Sequence[str], log: Path, ready: Callable[[], bool]) -> None:
        self.command = list(command)
        self.log = log
        self.ready = ready
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_for(f"{self.command[0]} to be ready (its log: {self.log})", self._is_ready, within=90)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it, at once unless told otherwise."""
        if self._child is not None:
            self._child.send_signal(number)
            self._child.wait(60)
            self._child = None

    def restart(self, number: int = signal.SIGKILL) -> None:
        """End it and start it again."""
        self.end(number)
        self.start()

    def _is_ready(self) -> bool:
        assert self._child is None or self._child.poll() is None, f"it has ended; its log is {self.log}"
        return self.ready()


class ControlPlane:
    """etcd and kube-apiserver; ``server`` is the latter's URL."""

    def __init__(self, folder: Path, etcd: Path, kube_apiserver: Path) -> None:
        self.folder = folder
        self._token = secrets.token_hex(16)
        clients, peers, port = (_free_port() for _ in range(3))
        self.server = f"https://127.0.0.1:{port}"
        self._etcdctl = [str(etcd.with_name("etcdctl")), f"--endpoints=http://127.0.0.1:{clients}"]
        at, peer = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
        self.etcd = Program(
            [str(etcd), "--name=own", f"--data-dir={folder}/etcd", "--unsafe-no-fsync", "--log-level=warn",
             f"--listen-client-urls={at}", f"--advertise-client-urls={at}", f"--listen-peer-urls={peer}",
             f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=own={peer}"],
            folder / "etcd.log", lambda: _answers(f"{at}/health"),
        )  # fmt: skip
        key, public = self._service_account_key()
        tokens = folder / "tokens.csv"
        tokens.touch(0o600)
        tokens.write_text(f'{self._token},admin,admin,"system:masters"\n')
        self.apiserver = Program(
            [str(kube_apiserver), f"--etcd-servers={at}", "--bind-address=127.0.0.1", f"--secure-port={port}",
             "--advertise-address=127.0.0.1", "--service-cluster-ip-range=10.97.0.0/16", f"--cert-dir={folder}/certs",
             "--authorization-mode=RBAC", f"--token-auth-file={tokens}", "--service-account-issuer=https://own",
             f"--service-account-key-file={public}", f"--service-account-signing-key-file={key}",
             "--disable-admission-plugins=ServiceAccount", "--etcd-compaction-interval=0",
             "--shutdown-delay-duration=0s"],
            folder / "apiserver.log", lambda: _answers(f"{self.server}/readyz"),
        )  # fmt: skip

    def _service_account_key(self) -> tuple[Path, Path]:
        key, public = self.folder / "sa.key", self.folder / "sa.pub"
        run(["openssl", "genrsa", "-out", key, "2048"])
        run(["openssl", "rsa", "-in", key, "-pubout", "-out", public])
        return key, public

    @contextmanager
    def running(self) -> Iterator["ControlPlane"]:
        """Run both for the time of the block."""
        try:
            self.etcd.start()
            self.apiserver.start()
            wait_for("the namespaces", lambda: self.get("/api/v1/namespaces/default"))
            yield self
        finally:
            self.apiserver.end()
            self.etcd.end()

    def access(self, server: str = "") -> Access:
        """Return the administrator's access, through another address where one is given."""
        headers = {"Authorization": f"Bearer {self._token}"}
        server = server or self.server
        return Access(server, _unchecked() if server.startswith("https") else None, lambda: dict(headers))

    def kubeconfig(self, server: str = "") -> Path:
        """Write the administrator's kubeconfig and return its path."""
        path = self.folder / "kubeconfig"
        path.touch(0o600)
        cluster = {"server": server or self.server, "insecure-skip-tls-verify": True}
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "own",
            "clusters": [{"name": "own", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "own", "context": {"cluster": "own", "user": "admin"}}],
        }  # fmt: skip
        path.write_text(json.dumps(document))
        return path

    def compact(self) -> None:
        """Have etcd forget all history up to now, as kube-apiserver has it do every five minutes."""
        endpoints = json.loads(run([*self._etcdctl, "endpoint", "status", "--write-out=json"]))
        revision = endpoints[0]["Status"]["header"]["revision"]
        run([*self._etcdctl, "compact", str(revision), "--physical"])

    def get(self, path: str) -> "dict[str, object]":
        """Return an object, an empty one where there is none or nobody answers."""
        try:
            with urlopen(self._request(path), context=_unchecked(), timeout=10) as answer:
                found: dict[str, object] = json.load(answer)
                return found
        except (HTTPError, URLError, TimeoutError, ConnectionError):
            return {}

    def _request(self, path: str) -> Request:
        return Request(self.server + path, headers={"Authorization": f"Bearer {self._token}"})


@contextmanager
def own_control_plane(bed: Bed, folder: Path) -> Iterator[ControlPlane]:
    """Run a control plane with the bed's own programs for the time of the block."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("etcd", "etcdctl"):
        bed.docker("cp", f"{bed.layout.cluster.container}:/usr/bin/{name}", programs / name)
    (programs / "kube-apiserver").symlink_to(kubernetes.folder(bed) / "kubernetes")
    with ControlPlane(folder, programs / "etcd", programs / "kube-apiserver").running() as plane:
        yield plane


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _unchecked() -> ssl.SSLContext:
    """Return a context that takes the server's self-signed certificate: it is on our own loopback."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _answers(url: str) -> bool:
    try:
        with urlopen(url, context=_unchecked() if url.startswith("https") else None, timeout=5) as answer:
            return bool(answer.status == 200)
    except (HTTPError, URLError, TimeoutError, ConnectionError):
        time.sleep(0.1)
        return False
