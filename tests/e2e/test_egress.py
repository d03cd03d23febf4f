"""A compute node without a route out reaches a server through the login node, by what the runner sets up (tsocks)."""

import shlex
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest

from interlink.core.plan import Plan, PlanContainer, PlanEgress, PlanRuntime
from interlink.sidecars.slurm.bundle import runner_bundle
from tests.e2e.site import run_as, ssh_access
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.errors import CommandError
from tests.testbed.layout import OUTSIDE
from tests.testbed.site import SERVICE, SHARED

PORT = 18080
URL = f"http://{OUTSIDE}:{PORT}/word"
LIBRARY = "/usr/lib/x86_64-linux-gnu/libtsocks.so"
NODE = "c1"
CURL = f"curl --silent --show-error --max-time 20 {URL}"


@pytest.fixture
def server(bed: Bed) -> Iterator[str]:
    """The word that a server says which only the edge host reaches."""
    folder, word = f"/tmp/outside-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    serve = f"python3 -m http.server --bind {OUTSIDE} --directory {folder} {PORT}"
    script = f"mkdir {folder} && echo {word} > {folder}/word && {{ {serve} >/dev/null 2>&1 & echo $!; }}"
    pid = bed.site(["sh", "-c", script]).strip()
    wait_for("the server", lambda: bed.site(["sh", "-c", f"{CURL} || true"]))
    yield word
    bed.site(["kill", pid])


@dataclass
class Job:
    """One pod's job on the node without a way out, and the mark of its ssh."""

    bed: Bed
    folder: str
    mark: str
    number: str = ""

    def submit(self, plan: Plan) -> None:
        """Write the plan and submit the runner with it, as the sidecar does."""
        script = f"#!/bin/bash\nexec /usr/bin/python3 {self.folder}/runner.pyz {self.folder}/plan.json\n"
        files = {"runner.pyz": runner_bundle(), "plan.json": msgspec.json.encode(plan), "job.sh": script.encode()}
        for name, data in files.items():
            self.bed.docker.exec("interlink-edge", ["tee", f"{self.folder}/{name}"], user=SERVICE, stdin=data)
        self.number = run_as(
            self.bed, SERVICE,
            ["sbatch", "--parsable", f"--nodelist={NODE}", "--mem=300", "--export=PATH", f"--chdir={self.folder}",
             f"--output={self.folder}/batch.log", f"{self.folder}/job.sh"],
        ).strip()  # fmt: skip

    def said(self) -> str:
        """Return what the container has printed, and what the runner says of it."""
        files = " ".join(f"{self.folder}/{name}" for name in ("logs/main.log", "batch.log", "report.json"))
        return self.bed.site(["sh", "-c", f"cat {files} 2>/dev/null || true"])

    def processes(self, pattern: str) -> list[str]:
        """Return the processes on the node whose words have the pattern."""
        try:
            return self.bed.site(["pgrep", "--full", pattern], host=NODE).split()
        except CommandError as error:
            if error.status != 1:
                raise
            return []


@pytest.fixture
def job(bed: Bed) -> Iterator[Job]:
    mark = uuid.uuid4().hex[:8]
    job = Job(bed, f"{SHARED}/egress-{mark}", mark)
    bed.site(["install", "-d", "-m", "700", "-o", SERVICE, job.folder, f"{job.folder}/spool"])
    yield job
    if job.number:
        bed.site(["scancel", "--quiet", job.number])
    bed.site(["rm", "--recursive", job.folder])


def plan_of(job: Job, script: str, way_out: PlanEgress, image: str) -> Plan:
    """Return the plan of a container that has the node's curl, with the libraries that it is linked to."""
    binds = [f"--bind={path}:ro" for path in ("/usr:/usr", "/usr/lib:/lib", "/usr/lib64:/lib64")]
    main = PlanContainer(name="main", image=image, command=["/bin/sh", "-c", script], env=[("PATH", "/bin:/usr/bin")])
    return Plan(
        namespace="ns", name="p", uid="u", folder=job.folder, spool=f"{job.folder}/spool", restart_policy="Never",
        runtime=PlanRuntime(kind="apptainer", options=binds, image_cache=f"{job.folder}/images"),
        containers=[main], egress=way_out,
    )  # fmt: skip


def test_a_container_gets_out_by_library_and_by_proxy_and_nothing_outlives_the_runner(
    bed: Bed, server: str, job: Job
) -> None:
    with pytest.raises(CommandError):
        bed.site(shlex.split(CURL), host=NODE)
    with ssh_access(bed, owner=SERVICE, to_host="edge", to_user=SERVICE) as access:
        options = ["-F", "none", "-i", access.key, "-o", f"UserKnownHostsFile={access.known_hosts}"]
        way_out = PlanEgress(login_node=f"{SERVICE}@edge", library=LIBRARY, ssh_options=options)
        script = (
            f'echo "proxy $(env -u LD_PRELOAD {CURL})"; echo "library $(env -u ALL_PROXY -u all_proxy {CURL})"; '
            "sleep 600"
        )
        job.submit(plan_of(job, script, way_out, f"docker://{bed.registry_address}/busybox"))
        log = wait_for("both answers", job.said, lambda seen: "library " in seen, within=60)
        assert f"proxy {server}" in log
        assert f"library {server}" in log
        (ssh,) = job.processes(f"ssh .*{access.key}")
        bed.site(["kill", "-KILL", ssh], host=NODE)
        wait_for("another ssh", lambda: job.processes(f"ssh .*{access.key}"), lambda seen: seen not in ([], [ssh]))
        runner = job.processes(f"python3 {job.folder}/runner.pyz")
        bed.site(["kill", "-KILL", *runner[:1]], host=NODE)
        wait_for(
            "the end of all",
            lambda: job.processes(f"ssh .*{access.key}") + job.processes("sleep 600"),
            lambda seen: not seen,
        )
