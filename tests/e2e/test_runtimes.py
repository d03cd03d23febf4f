"""What a pod says of users, working folders and devices, under the real apptainer."""

from tests.e2e.cluster import Cluster, container, terminated
from tests.e2e.sidecar import own_sidecar, small_pod, state_of
from tests.e2e.site import run_as
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.layout import REGISTRY_PORT

WHERE = "pwd; touch made && ls"


def waiting(cluster: Cluster, name: str) -> dict[str, str]:
    """Return what a pod's container waits for."""
    statuses = cluster.pod(name)["status"].get("containerStatuses") or [{}]
    found: dict[str, str] = statuses[0].get("state", {}).get("waiting", {})
    return found


def test_a_working_folder_that_the_image_has_not_is_made(cluster: Cluster) -> None:
    volume = [{"name": "v", "mountPath": "/volume"}]
    containers = [
        container(WHERE, "missing", workingDir="/not/there"),
        container("pwd; ls", "image", workingDir="/etc/."),
        container(WHERE, "volume", workingDir="/volume/a/b", volumeMounts=volume),
        container("pwd; ls", "above", workingDir="/above", volumeMounts=[{"name": "v", "mountPath": "/above/inner"}]),
        container("pwd", "closed", workingDir="/volume/c", volumeMounts=[{**volume[0], "readOnly": True}]),
    ]
    cluster.start("folders", containers=containers, volumes=[{"name": "v", "emptyDir": {}}])
    pod = cluster.wait_phase("folders", "Failed", "Succeeded")
    assert cluster.logs("folders", "-c", "missing") == "/not/there\nmade\n"
    assert cluster.logs("folders", "-c", "image").split()[0] == "/etc"
    assert "passwd" in cluster.logs("folders", "-c", "image")
    assert cluster.logs("folders", "-c", "volume") == "/volume/a/b\nmade\n"
    assert cluster.logs("folders", "-c", "above") == "/above\ninner\n"
    ends = {item["name"]: item["state"]["terminated"] for item in pod["status"]["containerStatuses"]}
    assert [ends[name]["exitCode"] for name in ("missing", "image", "volume", "above")] == [0, 0, 0, 0]
    assert ends["closed"]["message"] == "workingDir: mkdir /volume/c: read-only file system"


def test_a_pod_that_must_not_be_root_needs_an_image_for_another_user_or_the_jobs(cluster: Cluster, bed: Bed) -> None:
    uid = int(run_as(bed, "interlink", ["id", "-u"]))
    cluster.start("named", containers=[container("id -u", securityContext={"runAsUser": uid, "runAsNonRoot": True})])
    assert terminated(cluster.wait_phase("named", "Succeeded", "Failed"))["exitCode"] == 0
    assert cluster.logs("named") == f"{uid}\n"
    cluster.start("rootless", containers=[container("id -u")], securityContext={"runAsNonRoot": True})
    seen = wait_for(
        "the refusal",
        lambda: waiting(cluster, "rootless"),
        lambda found: found.get("reason") == "CreateContainerConfigError",
    )
    assert seen["message"].startswith("container has runAsNonRoot and image will run as root (pod: ")
    cluster.kubectl("delete", "pod", "rootless", "--wait=false")


def test_a_device_of_the_node_can_be_opened_at_its_own_path(bed: Bed) -> None:
    with own_sidecar(bed, HostPaths=[{"Path": "/dev/fuse"}]) as sidecar:
        for path, opens in (("/dev/fuse", True), ("/x/fuse", False)):
            pod = small_pod(f": < {path} && echo opened > /dev/termination-log", volumes=[
                {"name": "d", "hostPath": {"path": "/dev/fuse", "type": "CharDevice"}}])  # fmt: skip
            pod["metadata"]["annotations"]["slurm-job.vk.io/container-runtime"] = "apptainer"
            pod["spec"]["containers"][0].update(
                image=f"docker://{bed.network.gateway}:{REGISTRY_PORT}/busybox",
                volumeMounts=[{"name": "d", "mountPath": path}],
            )
            code, answer = sidecar.create(pod)
            if opens:
                assert code == 200, answer
                assert state_of(sidecar.wait_ended(pod))["terminated"]["message"] == "opened\n"
            else:
                assert "can be mounted at its own path below /dev only under apptainer" in str(answer)
