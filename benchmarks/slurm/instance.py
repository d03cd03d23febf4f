"""A Slurm sidecar of the benchmark's own: the real command, started, watched through /proc, and stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import yaml

from benchmarks.figures import CannotMeasureError

_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1024**2


class Sidecar:
    """``interlink slurm`` with a configuration of its own."""

    def __init__(self, state: Path, data: Path, partition: str, **settings: object) -> None:
        self.socket = state / "slurm.sock"
        config = state / "config.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "SidecarURL": f"unix://{self.socket}",
                    "DataRootFolder": str(data),
                    "StateFolder": str(state / "db"),
                    "SlurmPartition": partition,
                    "AllowHostRuntime": True,
                    **settings,
                }
            )
        )
        self._log = (state / "log").open("ab")
        command = [sys.executable, "-m", "interlink.cli.main", "slurm", "--config", str(config)]
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}  # as its systemd unit
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment)
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CannotMeasureError(f"the sidecar does not start: {(state / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def processes(self) -> list[int]:
        """Return the process ids of the sidecar and its children."""
        found = [self._process.pid]
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            found += [int(pid) for pid in (task / "children").read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        """Return the CPU time that the sidecar and its children have used."""
        total = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def memory_mib(self) -> float:
        """Return the memory of the sidecar and its children now: resident, shared pages counted once."""
        total = 0
        for pid in self.processes():
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total * 1024 / _MIB

    def stop(self) -> None:
        """End it as systemd does."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
