"""What a pod, its namespace and the site's flavors say of a job is what Slurm is given; the rest is refused by name."""

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster, container, terminated
from tests.e2e.site import qos, setting
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.inventory import PHYSICS

VK, KNOC = "slurm-job.vk.io/", "slurm-job.knoc.io/"


@pytest.fixture
def physics(bed: Bed) -> Iterator[Cluster]:
    """The namespace that the site's table has an entry for."""
    bed.kubectl("create", "namespace", PHYSICS)
    wait_for(
        "the namespace's service account",
        lambda: bed.kubectl("-n", PHYSICS, "get", "serviceaccount", "default", "--ignore-not-found", "-o", "name"),
    )
    yield Cluster(bed, PHYSICS)
    bed.kubectl("delete", "namespace", PHYSICS, "--timeout=120s")


def test_flags_annotations_and_gpus_become_the_jobs(cluster: Cluster, slurm: Slurm, bed: Bed) -> None:
    offered = bed.kubectl("get", "node", "interlink", "-o", r"jsonpath={.status.allocatable.nvidia\.com/gpu}")
    assert offered == "4"  # two on each of the bed's nodes
    flags = "--job-name=mine -t 9 --ntasks=2 --mem-per-cpu=40 --nice=7 --exclude=c1 --requeue"
    gpu = container("sleep 60", resources={"limits": {"nvidia.com/gpu": 1, "ephemeral-storage": "1Gi"}})
    annotations = {KNOC + "flags": flags, VK + "partition": "short", VK + "qos": "urgent"}
    uid = cluster.start("placed", containers=[gpu], annotations=annotations)["metadata"]["uid"]
    cluster.wait_phase("placed", "Running", "Failed")
    job = slurm.job(uid)
    # A pod that asks for GPUs and names no flavor gets the one that has some: "card", whose are of type a100.
    wanted = {
        "JobName": "mine", "Partition": "short", "QOS": "urgent", "NumTasks": "2", "MinMemoryNode": "80M",
        "TimeLimit": "00:09:00", "Nice": "7", "ExcNodeList": "c1", "Requeue": "1", "TresPerNode": "gres/gpu:a100:1",
        "MinTmpDiskNode": "1G", "Comment": uid,
    }  # fmt: skip
    assert {name: job[name] for name in wanted} == wanted
    cluster.kubectl("delete", "pod", "placed", "--wait=false", "--grace-period=1")


def test_a_walltime_warning_lets_the_containers_end_by_themselves(cluster: Cluster) -> None:
    script = "trap 'echo warned; exit 3' TERM; echo up; while true; do sleep 0.2; done"
    cluster.start("warned", script=script, terminationGracePeriodSeconds=5, annotations={VK + "flags": "--time=1"})
    pod = cluster.wait_phase("warned", "Failed", "Succeeded", within=120)
    assert terminated(pod)["exitCode"] == 3, pod["status"]
    assert cluster.logs("warned") == "up\nwarned\n"


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({KNOC + "flags": "-p main --uid=0"}, "--uid is never possible"),
        ({VK + "flags": "--hint=nomultithread"}, "--hint is not possible with SlurmDriver: pyslurm"),
        ({VK + "pre-exec": "id"}, "pre-exec is not allowed in namespace"),
    ],
)
def test_what_is_not_allowed_fails_the_pod_with_its_name(
    cluster: Cluster, annotations: dict[str, str], words: str
) -> None:
    cluster.start("refused", script="true", annotations=annotations)
    pod = cluster.wait_phase("refused", "Failed")
    assert words in pod["status"]["message"]


def test_a_flavor_and_the_namespaces_table(physics: Cluster, slurm: Slurm, bed: Bed) -> None:
    script = "cat <<'EOFMESH' > $TMPDIR/mesh.sh\necho \"mesh of $(id -un)\"\nEOFMESH\nsh $TMPDIR/mesh.sh"
    main = container("sleep 60", resources={})  # so the flavor says how large the job is
    uid = physics.start("flavored", containers=[main], annotations={VK + "pre-exec": script})["metadata"]["uid"]
    physics.wait_phase("flavored", "Running", "Failed")
    job = slurm.job(uid)
    wanted = {
        "Partition": "short", "Account": "interlink", "QOS": "normal", "CPUs/Task": "2", "MinMemoryNode": "96M",
    }  # fmt: skip
    assert {name: job[name] for name in wanted} == wanted
    assert "mesh of interlink\n" in bed.site(["cat", f"/srv/interlink/jobs/{uid}/batch.log"])
    physics.kubectl("delete", "pod", "flavored", "--wait=false", "--grace-period=1")
    physics.start("forced", script="true", annotations={VK + "qos": "urgent"})
    message = physics.wait_phase("forced", "Failed")["status"]["message"]
    assert "--qos=urgent is not allowed: this site sets --qos=normal" in message
    carded = {VK + "flavor": "card"}
    uid = physics.start("carded", script="sleep 60", annotations=carded)["metadata"]["uid"]
    physics.wait_phase("carded", "Running", "Failed")
    assert slurm.job(uid)["TresPerNode"] == "gres/gpu:a100:1"
    physics.kubectl("delete", "pod", "carded", "--wait=false", "--grace-period=1")


def test_a_pod_that_finds_the_queue_full_waits_in_slurms_words_and_runs_when_there_is_room(
    cluster: Cluster, slurm: Slurm, bed: Bed
) -> None:
    with setting(bed, "AccountingStorageEnforce", "limits"), qos(bed, "single", "MaxSubmitJobsPerUser=1"):
        annotations = {VK + "qos": "single"}
        cluster.start("first", script="sleep 600", annotations=annotations)
        cluster.wait_phase("first", "Running", "Failed")
        uid = cluster.start("second", script="echo mine", annotations=annotations)["metadata"]["uid"]
        waiting = wait_for(
            "the second pod to find the queue full", lambda: cluster.waiting("second"),
            lambda seen: seen.get("reason") == "SlurmPending", within=60,
        )  # fmt: skip
        assert waiting["message"].startswith("Not yet submitted to Slurm: ")
        assert "QOSMaxSubmitJobPerUserLimit" in waiting["message"]
        assert slurm.jobs(uid) == {}
        cluster.kubectl("delete", "pod", "first", "--wait=false", "--grace-period=1")
        cluster.wait_phase("second", "Succeeded", "Failed", within=120)
        assert cluster.logs("second") == "mine\n"
        assert len(slurm.jobs(uid)) == 1
