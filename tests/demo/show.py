"""The demo's last step: a pod of the seeds' first example, followed from kubectl to the Slurm job and back."""

import json
import time
from pathlib import Path

from tests.demo.project import ROOT
from tests.testbed.bed import Bed
from tests.testbed.errors import TestbedError

EXAMPLE = ROOT / "examples" / "busyecho_k8s.yaml"
POD = "busyecho"


def show(bed: Bed) -> None:
    """Run the example's pod and print what kubectl and Slurm say of it; raises TestbedError if it does not succeed."""
    bed.kubectl("delete", "pod", POD, "--ignore-not-found", "--timeout=120s", timeout=150)
    print(f"\n$ kubectl apply -f {EXAMPLE.relative_to(ROOT)}")
    began = time.monotonic()
    print(bed.kubectl("apply", "-f", str(EXAMPLE)), end="")
    wait_until_succeeded(bed)
    print(f"it succeeded after {time.monotonic() - began:.1f} s")
    section("kubectl get nodes,pods -o wide", bed.kubectl("get", "nodes,pods", "-o", "wide"))
    section("the job, as Slurm sees it (squeue; the comment is the pod's UID)", jobs_of(bed))
    section(f"kubectl logs {POD}", bed.kubectl("logs", POD))


def wait_until_succeeded(bed: Bed, within: float = 180) -> None:
    """Wait for the pod's end. Raises TestbedError with what the pod says of itself when that is not success."""
    try:
        bed.kubectl(
            "wait", "pod", POD, "--for=jsonpath={.status.phase}=Succeeded", f"--timeout={within:.0f}s",
            timeout=within + 10,
        )  # fmt: skip
    except TestbedError as error:
        raise TestbedError(f"{error}\n{bed.kubectl('describe', 'pod', POD)}") from error


def jobs_of(bed: Bed) -> str:
    """Return squeue's line of the pod's job; the controller remembers an ended job for MinJobAge."""
    uid = json.loads(bed.kubectl("get", "pod", POD, "-o", "json"))["metadata"]["uid"]
    table = bed.site(["squeue", "--states=all", "--format=%.8i %.24j %.10u %.10T %.6C %.8m %.10M %.8N %k"])
    header, *lines = table.splitlines()
    return "\n".join([header, *(line for line in lines if uid in line)])


def section(title: str, text: str) -> None:
    """Print a block with a heading."""
    print(f"\n$ {title}\n{text.rstrip()}")


def how_to_use(bed: Bed) -> str:
    """Return what a user types next."""
    kubectl = bed.paths.bin / "kubectl"
    return f"""
All of it keeps running. To use it:
  export KUBECONFIG=$(make -s kubeconfig)
  export PATH={kubectl.parent}:$PATH                 # kubectl
  kubectl apply -f {EXAMPLE.relative_to(Path.cwd()) if EXAMPLE.is_relative_to(Path.cwd()) else EXAMPLE}
  python3 -m tests.testbed status                    # what runs, and where its logs are
  make demo-down                                     # end all of it (the caches stay)"""
