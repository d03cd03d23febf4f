"""What a job sees on a compute node: a tiny one is submitted, and says. Only with ``--submit``."""

import json
import secrets
import time
from pathlib import Path

from interlink.core.job.states import JobPhase
from interlink.sidecars.slurm.doctor.check import Check, Finding, Site, bad, fair, good
from interlink.sidecars.slurm.driver import JobRequest

_WAIT_SECONDS = 120.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Runs with the compute node's Python 3.6 or newer; its argument is the administrator's, never a pod's.
_LOOK = """\
import json, os, shutil, socket, subprocess, sys
def first(argv):
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode().split("\\n")[0]
    except OSError as error:
        return "missing: %s" % error.strerror
print(json.dumps({
    "host": socket.gethostname(), "python": sys.version.split()[0], "apptainer": first([sys.argv[1], "--version"]),
    "userns": first(["unshare", "--user", "--map-root-user", "id", "-u"]) == "0",
    "fuse": os.access("/dev/fuse", os.R_OK | os.W_OK),
    "squashfuse": bool(shutil.which("squashfuse_ll") or shutil.which("squashfuse")),
}))
"""


class ComputeNode(Check):
    """A job runs, and finds the shared folder, Python and a container runtime."""

    name = "compute node"

    def applies(self, site: Site) -> bool:
        return site.submit

    def look(self, site: Site) -> Finding:
        folder = site.config.data_root_folder / f".doctor-{secrets.token_hex(4)}"
        host = site.hosts.files()
        host.make_folder(folder)
        try:
            host.write(folder / "look.py", _LOOK.encode())
            problem = self._run_job(site, folder)
            if problem:
                return problem
            text = _wait_for_output(site, folder / "out")
        finally:
            host.remove_tree(folder)
        return judge(text)

    @staticmethod
    def _run_job(site: Site, folder: Path) -> Finding | None:
        """Run the job to its end; return what is wrong where it does not get there."""
        job_id = site.driver.submit(job_request(site, folder))
        deadline = time.monotonic() + _WAIT_SECONDS
        try:
            while True:
                job = site.driver.jobs().get(job_id)
                if job is not None and job.phase is JobPhase.ENDED:
                    return None
                if time.monotonic() >= deadline:
                    break
                time.sleep(1)
        finally:
            site.driver.cancel(job_id)
        words = f"job {job_id} did not end within {_WAIT_SECONDS:g} s" + (f": {job.state} {job.reason}" if job else "")
        return fair(words, "the queue may be full: try again later; else look at `scontrol show job`")


def job_request(site: Site, folder: Path) -> JobRequest:
    """Return the tiny job."""
    config = site.config
    script = f'#!/bin/bash\nexec "$DOCTOR_PYTHON" "{folder}/look.py" "$DOCTOR_RUNTIME"\n'
    return JobRequest(
        name="interlink-doctor",
        comment="interlink-doctor",
        script=script,
        working_directory=str(folder),
        output=str(folder / "out"),
        cpus=1,
        memory_mib=256,
        time_limit_minutes=2,
        partition=config.slurm_partition,
        account=config.slurm_account,
        environment={
            "PATH": _PATH,
            **config.job_environment,
            "DOCTOR_PYTHON": config.python_path,
            "DOCTOR_RUNTIME": config.singularity_path,
        },
    )


def judge(text: str) -> Finding:
    """Return the finding behind what the job printed."""
    last = text.strip().rpartition("\n")[2]
    try:
        seen = json.loads(last)
    except ValueError:
        return bad(
            f"the job ran and said {text.strip()[-300:]!r}",
            "the compute nodes must see DataRootFolder under the same path, and have a Python 3.6 at PythonPath",
        )
    said = f"{seen['host']}: Python {seen['python']}, {seen['apptainer']}"
    if "missing" in seen["apptainer"]:
        return bad(said, "install apptainer on the compute nodes, or set SingularityPath")
    if not seen["userns"]:
        return fair(f"{said}, no user namespaces", "allow user namespaces, or install apptainer setuid")
    if not (seen["fuse"] and seen["squashfuse"]):
        return fair(f"{said}, no squashfuse or /dev/fuse", "install squashfuse: else each start unpacks its image anew")
    return good(f"{said}, user namespaces, squashfuse")


def _wait_for_output(site: Site, path: Path) -> str:
    """Return what the job printed; a network file system may show it a little later."""
    deadline = time.monotonic() + 10
    while True:
        data = site.hosts.files().read(path)
        if data or time.monotonic() > deadline:
            return (data or b"").decode(errors="replace")
        time.sleep(0.2)
