"""What the API lets change of a pod while it lives takes effect in its job: deadline and images, by kubectl."""

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, Object, container
from tests.e2e.kubelet import OwnKubelet
from tests.e2e.sidecar import own_sidecar, small_pod, state_of
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

#: Says that it has begun, and ends when it is asked to.
LOOP = "trap 'exit 0' TERM; echo began; while true; do sleep 0.1; done"
FLAGS = "slurm-job.vk.io/flags"


@pytest.fixture
def kubelet(bed: Bed, tmp_path: Path) -> Iterator[OwnKubelet]:
    kubelet = OwnKubelet(bed, tmp_path)
    yield kubelet
    kubelet.remove_node()


def change(cluster: Cluster, name: str, **spec: Any) -> None:
    """Change a pod's spec as the API lets a user do it."""
    cluster.kubectl("patch", "pod", name, "--type=merge", "--patch", json.dumps({"spec": spec}))


def main_of(pod: Object) -> Object:
    """Return the status of the pod's first container."""
    found: Object = (pod["status"].get("containerStatuses") or [{}])[0]
    return found


def wait_main(cluster: Cluster, name: str, what: str, restarts: int, image: str) -> Object:
    """Wait until the pod's first container runs this image after so many restarts, and return its status."""

    def good(status: Object) -> bool:
        shown = (status.get("restartCount"), status.get("image"), list(status.get("state") or {}))
        return shown == (restarts, image, ["running"])

    return wait_for(what, lambda: main_of(cluster.pod(name)), good)


def test_a_deadline_that_is_set_or_shortened_ends_a_running_pod_and_its_job(cluster: Cluster, slurm: Slurm) -> None:
    names = {"shortened": {"activeDeadlineSeconds": 3600}, "set": {}}
    pods = {name: cluster.start(name, script=LOOP, **spec) for name, spec in names.items()}
    for name in names:
        cluster.wait_phase(name, "Running")
    for name in names:
        change(cluster, name, activeDeadlineSeconds=2)
    for name, pod in pods.items():
        status = cluster.wait_phase(name, "Failed")["status"]
        assert (status["reason"], main_of({"status": status})["restartCount"]) == ("DeadlineExceeded", 0)
        wait_for("the job's end", partial(slurm.living, pod["metadata"]["uid"]), lambda living: not living)


def test_a_job_that_waits_in_the_queue_begins_with_the_newest_deadline_and_image(
    cluster: Cluster, slurm: Slurm, bed: Bed
) -> None:
    annotations = {FLAGS: "--hold"}
    uid = cluster.start("waits", script=LOOP, activeDeadlineSeconds=3600, annotations=annotations)["metadata"]["uid"]
    wait_for("its job", lambda: slurm.jobs(uid), bool)
    wait_for("its status", lambda: main_of(cluster.pod("waits")))
    change(cluster, "waits", activeDeadlineSeconds=6)
    cluster.kubectl("set", "image", "pod/waits", "main=pause")
    (job,) = slurm.jobs(uid)
    folder = f"/srv/interlink/jobs/{uid}/volumes.json"
    wait_for("the update", lambda: _left(bed, folder), lambda seen: seen == (6, "pause"))
    bed.site(["scontrol", "release", str(job)])
    began = time.monotonic()
    status = cluster.wait_phase("waits", "Failed")["status"]
    assert (status["reason"], main_of({"status": status})["image"]) == ("DeadlineExceeded", "pause")
    assert main_of({"status": status})["restartCount"] == 0
    assert time.monotonic() - began < 80


def _left(bed: Bed, path: str) -> tuple[int | None, str]:
    """Return the deadline and the image that the sidecar has left for the runner."""
    text = bed.site(["sh", "-c", f"cat {path} 2>/dev/null || true"]).strip()
    update = json.loads(text) if text else {}
    return update.get("activeDeadlineSeconds"), (update.get("images") or {}).get("main", {}).get("said", "")


def test_a_changed_image_starts_the_container_again_in_the_same_job(cluster: Cluster, slurm: Slurm) -> None:
    side = container(LOOP, "side")
    uid = cluster.start("changed", containers=[container(LOOP), side])["metadata"]["uid"]
    cluster.wait_phase("changed", "Running")
    before = wait_main(cluster, "changed", "the container to run", 0, "busybox")
    wait_for("its trap", lambda: cluster.logs("changed", "-c", "main"), lambda log: log == "began\n")
    cluster.kubectl("set", "image", "pod/changed", "main=pause")
    after = wait_main(cluster, "changed", "the new image to run", 1, "pause")
    assert after["imageID"] != before["imageID"]
    assert after["lastState"]["terminated"]["exitCode"] == 0
    words = "Container main definition changed, will be restarted"
    wait_for(
        "the kubelet's event",
        lambda: [event["message"] for event in cluster.events("changed") if event["reason"] == "Killing"],
        lambda seen: seen == [words],
    )
    wait_for("the new one's log", lambda: cluster.logs("changed", "-c", "main"), lambda log: log == "began\n")
    assert cluster.logs("changed", "-c", "main", "-p") == "began\n"

    cluster.kubectl("set", "image", "pod/changed", "main=no-such-image")
    wait_for(
        "the registry's no",
        lambda: main_of(cluster.pod("changed"))["state"].get("waiting", {}).get("reason"),
        lambda seen: seen in ("ErrImagePull", "ImagePullBackOff"),
    )
    assert cluster.pod("changed")["status"]["phase"] == "Running"
    cluster.kubectl("set", "image", "pod/changed", "main=busybox")
    wait_main(cluster, "changed", "the first image to run again", 2, "busybox")
    assert len(slurm.jobs(uid)) == 1
    other = next(item for item in cluster.pod("changed")["status"]["containerStatuses"] if item["name"] == "side")
    assert (other["restartCount"], other["image"]) == (0, "busybox")


def test_what_changed_while_no_virtual_kubelet_was_there_is_followed_by_the_next(
    cluster: Cluster, bed: Bed, kubelet: OwnKubelet
) -> None:
    with kubelet.running():
        wait_for("its node", lambda: bed.kubectl("get", "node", kubelet.node, "--ignore-not-found", "-o", "name"))
        cluster.start("late", script=LOOP, nodeName=kubelet.node)
        cluster.wait_phase("late", "Running")
    change(cluster, "late", activeDeadlineSeconds=1)
    with kubelet.running():
        assert cluster.wait_phase("late", "Failed")["status"]["reason"] == "DeadlineExceeded"


def test_a_deadline_outlives_the_sidecar_that_took_it(bed: Bed) -> None:
    with own_sidecar(bed) as sidecar:
        pod = small_pod("exec sleep 300", activeDeadlineSeconds=3600)
        assert sidecar.create(pod)[0] == 200
        wait_for("the container", lambda: state_of(sidecar.status(pod)), lambda seen: "running" in seen)
        pod["spec"]["activeDeadlineSeconds"] = 5
        assert sidecar.ask("update", {"pod": pod, "container": []}) == (200, "update noted")
        sidecar.kill()
        sidecar.start()
        assert sidecar.wait_ended(pod)["reason"] == "DeadlineExceeded"
