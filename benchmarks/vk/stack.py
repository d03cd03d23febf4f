"""The services of this tree as processes of their own: virtual kubelet, InterLink API and mock plugin.

Made by ``__main__``; their logs and configurations lie in one folder. The plugin tells in its log when it took each
pod and when it ended it.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import yaml

from benchmarks.figures import CannotMeasureError

TREE = Path(__file__).resolve().parents[2]
#: 200 followed logs, and three quarters of the threads are what the API gives to those.
THREADS = 320
_CHANGE = re.compile(r"^(\S+ \S+) DEBUG \S+: pod (\S+): (runs|has ended)$", re.MULTILINE)
_LISTED = re.compile(r"^(\S+ \S+) INFO \S+: the list of pods is complete: (\d+)$", re.MULTILINE)


class Service:
    """One process: ``interlink NAME``."""

    def __init__(self, name: str, folder: Path, config: dict[str, object]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._config = folder / f"{name}.yaml"
        self._config.write_text(yaml.safe_dump(config))
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's number. Raises CannotMeasureError where it has ended."""
        if self._child is None or self._child.poll() is not None:
            raise CannotMeasureError(f"interlink {self.name} has ended: {self.log.read_text()[-2000:]}")
        return self._child.pid

    def start(self) -> None:
        """Start it; what it says goes to its log."""
        command = [*_profiled(self.name), "-m", "interlink.cli.main", self.name, f"--config={self._config}"]
        with self.log.open("ab") as output:
            environment = {**os.environ, "PYTHONPATH": str(TREE), "PYTHONDONTWRITEBYTECODE": "1"}
            self._child = subprocess.Popen([sys.executable, *command], env=environment, stdout=output, stderr=output)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it and wait for that."""
        if self._child is not None:
            self._child.send_signal(number)
            try:
                self._child.wait(20)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has taken."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, field: str = "VmRSS") -> float:
        """Return its resident memory, or the most that it ever was (VmHWM)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
        raise CannotMeasureError(f"/proc tells no {field}")


class Stack:
    """All three, and what their logs tell."""

    def __init__(self, folder: Path, kubeconfig: Path, node: str, address: str) -> None:
        port, kubelet_port = _free_port(), _free_port()
        sidecar = {"SidecarURL": f"unix://{folder}/mock.sock", "RequestThreads": THREADS}
        edge = {"InterlinkURL": "http://127.0.0.1", "InterlinkPort": port}
        self.mock = Service("mock", folder, {**sidecar, "VerboseLogging": True})
        self.api = Service("api", folder, {**edge, **sidecar})
        node_facts = {"NodeName": node, "KubeletPort": kubelet_port, "PodIP": address, "Kubeconfig": str(kubeconfig)}
        self.vk = Service("vk", folder, {**edge, **node_facts})
        self._services = (self.mock, self.api, self.vk)

    def start(self) -> None:
        """Start all."""
        for service in self._services:
            service.start()

    def stop(self) -> None:
        """End all, the last one started first."""
        for service in reversed(self._services):
            service.stop()

    def check(self) -> None:
        """Raise CannotMeasureError where one has ended."""
        for service in self._services:
            _ = service.pid

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time that each has taken."""
        return {service.name: service.cpu_seconds() for service in self._services}

    def changes(self) -> dict[str, dict[str, float]]:
        """Return when the plugin took and ended each pod, in epoch seconds by UID: {"runs": …, "has ended": …}."""
        seen: dict[str, dict[str, float]] = {}
        for when, uid, what in _CHANGE.findall(self.mock.log.read_text()):
            seen.setdefault(uid, {})[what] = _epoch(when)
        return seen

    def listed(self) -> list[tuple[int, float]]:
        """Return the virtual kubelet's complete lists: how many pods, and when, in epoch seconds."""
        return [(int(count), _epoch(when)) for when, count in _LISTED.findall(self.vk.log.read_text())]

    def wait_for_list(self, lists: int, within: float) -> tuple[int, float]:
        """Wait until there have been so many lists, and return the last one. Raises CannotMeasureError."""
        deadline = time.monotonic() + within
        while len(found := self.listed()) < lists:
            self.check()
            if time.monotonic() > deadline:
                raise CannotMeasureError(f"the virtual kubelet has not listed its pods within {within:.0f} s")
            time.sleep(0.1)
        return found[-1]


def _epoch(when: str) -> float:
    return datetime.strptime(when, "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()


def _profiled(name: str) -> list[str]:
    """Return what has Python profile this service, where INTERLINK_BENCH_PROFILE names it: NAME=FILE."""
    service, _, file = os.environ.get("INTERLINK_BENCH_PROFILE", "").partition("=")
    return ["-m", "cProfile", "-o", file] if service == name and file else []


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
