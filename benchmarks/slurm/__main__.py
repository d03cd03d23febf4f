"""``make bench-slurm``: brings the tree's sidecar and this benchmark onto the edge host, runs it, shows what came out.

Runs beside the deployed sidecar, as the service's user, with folders and a partition of its own, which it removes.
"""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.figures import CannotMeasureError, Figure, table, write
from benchmarks.slurm import RUNNING, WAITING
from tests.demo.__main__ import deploy
from tests.e2e.site import configured, setting
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.docker import CLIENT
from tests.testbed.errors import TestbedError

TREE = Path(__file__).resolve().parents[2]
#: On the edge host: the code, and below the shared folder what the jobs see.
CODE, STATE, DATA = "/opt/interlink-bench/code", "/opt/interlink-bench/state", "/srv/interlink/bench"
PYTHON = "/opt/interlink/venv/bin/python"
USER = "interlink"
SERVICE = "interlink-slurm.service"
#: What slurmctld may hold meanwhile, and what it may still hold afterwards (its own limit is 10,000).
MOST_JOBS, FEW_JOBS = "30000", 5_000
#: Seconds for which slurmctld remembers a job's end meanwhile: longer than a job's last state is waited for, and short
#: enough that the jobs of one figure are not counted into the next.
MEMORY = "30"
SECONDS = 900


def main() -> int:
    """Run the benchmark; return the exit status."""
    bed = Bed()
    try:
        deploy(bed)
        figures = run(bed)
    except (CannotMeasureError, TestbedError, AssertionError) as error:
        print(f"bench-slurm cannot measure: {error}", file=sys.stderr)
        return 1
    print(table(figures))
    print(f"\nwritten to {write(figures, 'slurm').relative_to(TREE)}")
    return 0


def run(bed: Bed) -> list[Figure]:
    """Prepare the edge host, measure there, and clean up. Raises CannotMeasureError, TestbedError."""
    with configured(bed, {"MaxJobCount": MOST_JOBS, "MinJobAge": MEMORY}), alone(bed):
        clean(bed)
        for partition, state in ((RUNNING, "UP"), (WAITING, "DOWN")):
            # Above the others, so that nobody's waiting jobs hold up those that are timed.
            words = ["Nodes=edge", f"State={state}", "PriorityTier=100", "PreemptMode=OFF", "DefaultTime=00:10:00"]
            bed.site(["scontrol", "create", f"PartitionName={partition}", *words])
        try:
            bed.site(["install", "-d", "-o", USER, "-g", USER, "-m", "700", STATE, DATA])
            bed.site(["mkdir", "-p", CODE])
            bed.docker("exec", "--interactive", "interlink-edge", "tar", "-C", CODE, "-x", stdin=archive())
            return measure(bed)
        finally:
            clean(bed)
            forget(bed)


@contextmanager
def alone(bed: Bed) -> Iterator[None]:
    """Stop the deployed sidecar for the time of the block, so that slurmctld's counters speak of ours only."""
    bed.site(["systemctl", "stop", SERVICE])
    try:
        yield
    finally:
        bed.site(["systemctl", "start", SERVICE])


def measure(bed: Bed) -> list[Figure]:
    """Run the part that measures; its progress goes to our stderr. Raises CannotMeasureError."""
    environment = [f"--env=PYTHONPATH={CODE}", "--env=PYTHONDONTWRITEBYTECODE=1"]
    as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
    module = ["-m", "benchmarks.slurm.measure", STATE, DATA]
    done = subprocess.run(
        [CLIENT, "exec", *environment, "interlink-edge", *as_user, PYTHON, *module],
        env=bed.docker.environment, stdout=subprocess.PIPE, timeout=SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        raise CannotMeasureError(f"the measuring process ended with status {done.returncode}")
    return [Figure(**values) for values in json.loads(done.stdout)]


def clean(bed: Bed) -> None:
    """Remove the jobs, the partitions and the folders."""
    there = bed.site(["sinfo", "--noheader", "--format=%R"]).split()
    for partition in {RUNNING, WAITING} & set(there):
        bed.site(["scancel", f"--partition={partition}"], timeout=300)
        left = partial(bed.site, ["squeue", "--noheader", f"--partition={partition}"])
        wait_for("the benchmark's jobs to end", left, lambda jobs: not jobs, within=120)
        bed.site(["scontrol", "delete", f"PartitionName={partition}"])
    bed.site(["rm", "-rf", CODE, STATE, DATA])


def forget(bed: Bed) -> None:
    """Let slurmctld forget the jobs, so that it has room for others when it may hold fewer again."""
    with setting(bed, "MinJobAge", "2"):
        wait_for(
            "slurmctld to forget the benchmark's jobs",
            lambda: len(bed.site(["squeue", "--noheader", "--states=all", "--format=%A"]).split()),
            lambda jobs: jobs < FEW_JOBS,
            within=240,
        )


def archive() -> bytes:
    """Return the tree's packages as a tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("interlink", "templates", "benchmarks"):
            tar.add(TREE / name, name, filter=lambda item: None if "__pycache__" in item.name else item)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
