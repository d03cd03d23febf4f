"""Runs the pod runner as compute nodes do: the one-file bundle, a plan, an environment of Slurm's."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from interlink.core.plan import Plan, PlanContainer, PlanFile, PlanMount, PlanRuntime, PlanVolume, Report
from interlink.sidecars.slurm.bundle import runner_bundle

__all__ = ["PlanContainer", "PlanMount", "PlanVolume", "Site", "file", "shell"]


def shell(script: str, name: str = "main", **fields: Any) -> PlanContainer:
    """Return a container that runs a shell script."""
    return PlanContainer(name=name, image="busybox", command=["/bin/sh", "-c", script], **fields)


def file(path: str, text: str, mode: int = 0o644) -> PlanFile:
    """Return one file of a volume."""
    return PlanFile(path=path, data=base64.b64encode(text.encode()).decode(), mode=mode)


class Runner(subprocess.Popen[str]):
    """A runner that ends with the test that started it, be the test's end a good one or not."""

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *rest)


class Site:
    """A shared folder with one pod's job in it."""

    def __init__(self, root: Path) -> None:
        self.job, self.spool, self.images = root / "job", root / "spool", root / "images"
        for folder in (self.job, self.spool, self.images):
            folder.mkdir()
        self.bundle = root / "pod_runner.pyz"
        self.bundle.write_bytes(runner_bundle())

    def plan(self, *containers: PlanContainer, **fields: Any) -> Path:
        """Write a plan for the host's runtime (unless it says another) and return its path."""
        fields = {"restart_policy": "Never", "runtime": PlanRuntime(kind="none"), **fields}
        plan = Plan(
            namespace="ns", name="p", uid="u-1", folder=str(self.job), spool=str(self.spool),
            containers=list(containers), **fields,
        )  # fmt: skip
        path = self.job / "plan.json"
        path.write_bytes(msgspec.json.encode(plan))
        return path

    def start(self, plan: Path, job: str = "7", **environ: str) -> Runner:
        """Start the runner."""
        environment = {"PATH": os.environ["PATH"], "HOME": "/home/nobody", "SLURM_JOB_ID": job, **environ}
        return Runner([sys.executable, str(self.bundle), str(plan)], env=environment, stderr=subprocess.PIPE, text=True)

    def run(self, plan: Path, job: str = "7", **environ: str) -> int:
        """Run the runner to its end; return its exit status."""
        process = self.start(plan, job, **environ)
        self.said = process.communicate(timeout=60)[1]
        return process.returncode

    def reports(self) -> list[Report]:
        """Return all reports in the spool folder, oldest first, as the sidecar reads them."""
        whole = [path for path in self.spool.iterdir() if not path.name.startswith(".")]
        found = [msgspec.json.decode(path.read_bytes(), type=Report) for path in whole]
        return sorted(found, key=lambda report: report.sequence)

    def last(self) -> Report:
        """Return the newest report."""
        return self.reports()[-1]

    def ends(self) -> dict[str, dict[str, Any]]:
        """Return the terminated states of the last report, by container."""
        report = self.last()
        everyone = [*report.init_containers, *report.containers]
        return {item["name"]: item["state"].get("terminated") for item in everyone}

    def status(self, container: str = "main") -> dict[str, Any]:
        """Return a container's status in the last report."""
        report = self.last()
        return next(item for item in [*report.init_containers, *report.containers] if item["name"] == container)

    def waiting(self, container: str = "main") -> dict[str, Any]:
        """Return why a container waits by the last report; empty where it does not."""
        found: dict[str, Any] = self.status(container)["state"].get("waiting", {})
        return found

    def log(self, container: str = "main", suffix: str = "") -> str:
        """Return a container's log without its times: ``stream tag text`` a line."""
        text = (self.job / "logs" / f"{container}.log{suffix}").read_text()
        return "".join(line.split(" ", 1)[1] for line in text.splitlines(keepends=True))

    def wait(self, what: Callable[[], Any], within: float = 20) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + within
        while not what():
            assert time.monotonic() < deadline, [json.dumps(report.containers) for report in self.reports()]
            time.sleep(0.02)

    def running(self, container: str = "main") -> bool:
        """Return whether the container is reported as running."""
        return any(
            item["name"] == container and "running" in item["state"]
            for report in self.reports()[-1:]
            for item in [*report.init_containers, *report.containers]
        )
