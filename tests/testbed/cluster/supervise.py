"""Runs the cluster's processes: in order, each once the one before is ready, again when one ends.

Entry of the cluster's container (by prepare.sh). Reads processes.toml (what runs), /etc/testbed/cluster/facts.json
(addresses, put in place of `{words}`) and writes one log for each process to /var/log/testbed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path("/opt/testbed")
FACTS = Path("/etc/testbed/cluster/facts.json")
LOGS = Path("/var/log/testbed")
RESTART_AFTER = 1.0
READY_WITHIN = 60.0
TEMPLATES = {
    "containerd.toml": "/etc/containerd/config.toml",
    "kubelet.json": "/etc/testbed-kubelet.json",
    "kube-proxy.json": "/etc/testbed-kube-proxy.json",
    "bridge.conflist": "/etc/cni/net.d/10-testbed.conflist",
}


def fill(text: str, facts: dict[str, str]) -> str:
    """Put facts in place of `@words@`."""
    for name, value in facts.items():
        text = text.replace(f"@{name}@", value)
    return text


def log(words: str) -> None:
    """Say something in the supervisor's own log."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), words, flush=True)


@dataclass
class Process:
    """One process that shall run."""

    name: str
    command: list[str]
    ready: list[str] = field(default_factory=list)
    child: subprocess.Popen[bytes] | None = None
    start_at: float = 0.0

    def start(self) -> None:
        """Start it with its outputs appended to its log."""
        with (LOGS / f"{self.name}.log").open("ab") as output:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        log(f"{self.name} started as {self.child.pid}")

    def is_ready(self) -> bool:
        """Ask the process's own check, which has 10 s to say yes; one without a check is ready when it runs."""
        try:
            done = subprocess.run(self.ready, capture_output=True, check=False, timeout=10) if self.ready else None
        except subprocess.TimeoutExpired:
            return False
        return done is None or done.returncode == 0

    def keep(self) -> None:
        """Start it again, a moment after it ended."""
        if self.child is None or self.child.poll() is None:
            return
        if not self.start_at:
            log(f"{self.name} ended with status {self.child.returncode}")
            self.start_at = time.monotonic() + RESTART_AFTER
        elif time.monotonic() >= self.start_at:
            self.start_at = 0.0
            self.start()


def bring_up(processes: list[Process]) -> None:
    """Start all processes in order; one that is not ready in time does not keep the next from starting."""
    for process in processes:
        process.start()
        deadline = time.monotonic() + READY_WITHIN
        while not process.is_ready():
            for other in processes:
                other.keep()
            if time.monotonic() > deadline:
                log(f"{process.name} is not ready after {READY_WITHIN:.0f} s")
                break
            time.sleep(0.1)
        else:
            log(f"{process.name} is ready")


def end(processes: list[Process]) -> None:
    """End all processes, the last one started first."""
    for process in reversed(processes):
        if process.child is not None and process.child.poll() is None:
            process.child.terminate()
            try:
                process.child.wait(5)
            except subprocess.TimeoutExpired:
                process.child.kill()
                process.child.wait()


def main() -> None:
    """Write the configurations, bring everything up and keep it up until SIGTERM."""
    facts: dict[str, str] = json.loads(FACTS.read_text())
    for name, target in TEMPLATES.items():
        Path(target).write_text(fill((HERE / "templates" / name).read_text(), facts))
    for name, content in json.loads(facts["registry_hosts"]).items():
        folder = Path("/etc/containerd/certs.d") / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts.toml").write_text(content)
    declared = tomllib.loads(fill((HERE / "processes.toml").read_text(), facts))["process"]
    processes = [Process(**entry) for entry in declared]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        bring_up(processes)
        while True:
            for process in processes:
                process.keep()
            time.sleep(0.2)
    finally:
        end(processes)


if __name__ == "__main__":
    main()
