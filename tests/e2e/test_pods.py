"""A pod's way to Slurm and back: what its author wrote is what runs, and what ran is what the cluster shows."""

import base64
import json
from datetime import datetime
from typing import Any

from tests.demo.show import EXAMPLE
from tests.e2e.cluster import SELECT_NODE, Cluster, container, terminated
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

ON_THE_HOST = {"slurm-job.vk.io/container-runtime": "none"}


def test_the_seeds_example_runs_as_one_slurm_job(cluster: Cluster, slurm: Slurm) -> None:
    cluster.kubectl("apply", "-f", str(EXAMPLE))
    pod = cluster.wait_phase("busyecho", "Succeeded", "Failed")
    assert pod["status"]["phase"] == "Succeeded", pod["status"]
    assert cluster.logs("busyecho") == "hello world\n"
    job = slurm.job(pod["metadata"]["uid"])
    assert job["JobState"] in ("COMPLETED", "COMPLETING")
    assert job["Comment"] == pod["metadata"]["uid"]
    assert job["UserId"].startswith("interlink(")


def test_command_args_environment_and_working_directory_arrive_byte_for_byte(cluster: Cluster) -> None:
    odd = "a b;$HOME `id` \"q\" 'q' \\ ü\nsecond line"
    shown = container("", env=[{"name": "ODD", "value": odd}, {"name": "EMPTY", "value": ""}], workingDir="/tmp")
    shown |= {"command": ["sh", "-c", 'pwd; printf "%s|%s|" "$ODD" "${EMPTY-unset}"; printf "%s," "$@"', "name"]}
    shown |= {"args": [odd, "", "$(ODD)", "--flag"]}
    cluster.start("odd", containers=[shown])
    assert cluster.wait_phase("odd", "Succeeded", "Failed")["status"]["phase"] == "Succeeded"
    assert cluster.logs("odd") == f"/tmp\n{odd}||{odd},,{odd},--flag,"


def test_nothing_that_a_pod_says_reaches_a_shell_of_the_site(cluster: Cluster, bed: Bed) -> None:
    mark = f"/srv/interlink/pwned-{cluster.namespace}"
    hostile = f"; touch {mark}; $(touch {mark}) `touch {mark}`\n touch {mark} #"
    shown = container("true", env=[{"name": "A", "value": hostile}], workingDir="/tmp")
    shown |= {"command": ["echo", hostile]}
    cluster.start("hostile", containers=[shown], annotations={"note": hostile})
    cluster.wait_phase("hostile", "Succeeded")
    assert cluster.logs("hostile") == f"{hostile}\n"
    assert bed.site(["sh", "-c", f"ls {mark} 2>/dev/null || true"]) == ""


def test_config_maps_secrets_and_empty_directories_are_mounted(cluster: Cluster) -> None:
    cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
         "data": {"a.conf": "one\n", "b.conf": "two\n"},
         "binaryData": {"raw": base64.b64encode(b"\x00\xff").decode()}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": "s3cret"}},
    )  # fmt: skip
    reader = container(
        "cat /settings/a.conf /renamed/x; od -An -tx1 /settings/raw; cat /keys/password; echo; "
        "ls -l /keys/..data/password | cut -c1-10; until [ -f /shared/done ]; do sleep 0.1; done; cat /shared/done",
        name="reader",
        volumeMounts=[
            {"name": "settings", "mountPath": "/settings"},
            {"name": "renamed", "mountPath": "/renamed"},
            {"name": "keys", "mountPath": "/keys", "readOnly": True},
            {"name": "scratch", "mountPath": "/shared"},
        ],
    )
    writer = container("echo from the writer > /out/t; mv /out/t /out/done", name="writer",
                       volumeMounts=[{"name": "scratch", "mountPath": "/out"}])  # fmt: skip
    cluster.start(
        "volumes",
        containers=[reader, writer],
        volumes=[
            {"name": "settings", "configMap": {"name": "settings"}},
            {"name": "renamed", "configMap": {"name": "settings", "items": [{"key": "b.conf", "path": "x"}]}},
            {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o400}},
            {"name": "scratch", "emptyDir": {}},
        ],
    )
    pod = cluster.wait_phase("volumes", "Succeeded", "Failed")
    assert pod["status"]["phase"] == "Succeeded", pod["status"]
    assert cluster.logs("volumes", "-c", "reader") == ("one\ntwo\n 00 ff\ns3cret\n-r--------\nfrom the writer\n")


def test_environment_from_config_maps_secrets_and_fields(cluster: Cluster) -> None:
    cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"COLOUR": "blue"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": "s3cret"}},
    )
    env = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
        {"name": "BOTH", "value": "$(POD)/$(PASSWORD)/$$(POD)"},
    ]
    shown = container('echo "$COLOUR $BOTH"', env=env, envFrom=[{"configMapRef": {"name": "settings"}}])
    cluster.start("env", containers=[shown])
    cluster.wait_phase("env", "Succeeded")
    assert cluster.logs("env") == "blue env/s3cret/$(POD)\n"


def test_cpu_memory_and_time_limit_become_the_jobs(cluster: Cluster, slurm: Slurm) -> None:
    first = container("sleep 60", name="first", resources={"limits": {"cpu": "1500m", "memory": "100Mi"}})
    second = container("sleep 60", name="second", resources={"requests": {"cpu": "2", "memory": "200M"}})
    uid = cluster.start("sized", containers=[first, second], activeDeadlineSeconds=90)["metadata"]["uid"]
    cluster.wait_phase("sized", "Running")
    job = slurm.job(uid)
    assert job["NumCPUs"] == "4"  # 1.5 + 2 cores
    assert job["MinMemoryNode"] == "547M"  # 100 MiB + 200 MB, rounded up to MiB, and RunnerMemory
    # The deadline, the grace period of 30 s, and what the walltime warning takes: 195 s, and Slurm counts minutes.
    assert job["TimeLimit"] == "00:04:00"
    cluster.kubectl("delete", "pod", "sized", "--wait=false", "--grace-period=1")
    cluster.wait_gone("sized")


def test_a_failing_container_makes_a_failed_pod_with_its_exit_code_and_times(cluster: Cluster) -> None:
    cluster.start("failing", script="sleep 2; exit 7")
    pod = cluster.wait_phase("failing", "Failed", "Succeeded")
    assert pod["status"]["phase"] == "Failed"
    end = terminated(pod)
    assert (end["exitCode"], end["reason"]) == (7, "Error")
    assert 2 <= seconds(end["finishedAt"]) - seconds(end["startedAt"]) <= 10


def test_one_failing_container_of_two_fails_the_pod_and_both_codes_are_shown(cluster: Cluster) -> None:
    cluster.start("pair", containers=[container("exit 0", "good"), container("sh -c 'kill -9 $$$$'; exit $?", "bad")])
    pod = cluster.wait_phase("pair", "Failed", "Succeeded")
    codes = {item["name"]: item["state"]["terminated"]["exitCode"] for item in pod["status"]["containerStatuses"]}
    assert (pod["status"]["phase"], codes) == ("Failed", {"good": 0, "bad": 137})


def test_a_pod_that_says_so_runs_straight_on_the_host(cluster: Cluster, slurm: Slurm) -> None:
    uid = cluster.start("host", script="hostname; id -un", annotations=ON_THE_HOST)["metadata"]["uid"]
    cluster.wait_phase("host", "Succeeded")
    assert cluster.logs("host") == f"{slurm.job(uid)['NodeList']}\ninterlink\n"


def test_containers_do_not_run_on_the_host_and_not_as_root(cluster: Cluster) -> None:
    cluster.start("inside", script="id -u; ls /etc/slurm 2>/dev/null; env | grep -c ^SLURM_; true")
    cluster.wait_phase("inside", "Succeeded")
    uid, slurm_variables = cluster.logs("inside").split()
    assert uid != "0"
    assert slurm_variables == "0"


def test_a_container_that_fails_is_started_again_as_the_pod_says(cluster: Cluster) -> None:
    again = container("if [ -f /s/x ]; then exit 0; fi; touch /s/x; exit 1",
                      volumeMounts=[{"name": "s", "mountPath": "/s"}])  # fmt: skip
    cluster.start("again", restartPolicy="OnFailure", containers=[again], volumes=[{"name": "s", "emptyDir": {}}])
    pod = cluster.wait_phase("again", "Succeeded", "Failed", within=120)
    status = pod["status"]["containerStatuses"][0]
    assert (pod["status"]["phase"], status["restartCount"]) == ("Succeeded", 1)


def test_a_kubernetes_job_completes(cluster: Cluster, slurm: Slurm) -> None:
    template: dict[str, Any] = {
        "spec": {"restartPolicy": "Never", **SELECT_NODE, "containers": [container("echo done")]}
    }
    cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "batch"},
                   "spec": {"completions": 2, "parallelism": 2, "template": template}})  # fmt: skip
    cluster.kubectl("wait", "--for=condition=Complete", "job/batch", "--timeout=120s", timeout=150)
    for pod in cluster.pods():
        assert len(slurm.jobs(pod["metadata"]["uid"])) == 1


def test_an_image_that_is_not_there_is_said_so_in_the_registrys_words(cluster: Cluster) -> None:
    missing = container("true") | {"image": "no-such-image"}
    cluster.start("missing", containers=[missing])

    reasons = ("ErrImagePull", "ImagePullBackOff")
    seen = wait_for(
        "the pull's failure", lambda: cluster.waiting("missing"), lambda seen: seen.get("reason") in reasons
    )
    assert "no-such-image" in json.dumps(seen)
    cluster.kubectl("delete", "pod", "missing", "--wait=false")
    cluster.wait_gone("missing")


def seconds(text: str) -> float:
    """Return a Kubernetes time as epoch seconds."""
    return datetime.fromisoformat(text).timestamp()
