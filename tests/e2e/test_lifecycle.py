"""A pod's containers in their order, their restarts, their last words and their limits, through kubectl."""

from typing import Any

from tests.e2e.cluster import Cluster, Object, container

SHARED: Object = {"volumes": [{"name": "shared", "emptyDir": {}}]}


def sharing(script: str, name: str, **fields: Any) -> Object:
    """Return a container with the pod's shared folder at /shared."""
    return container(script, name, volumeMounts=[{"name": "shared", "mountPath": "/shared"}], **fields)


def by_name(pod: Object) -> dict[str, Object]:
    """Return all container statuses of a pod."""
    status = pod["status"]
    return {item["name"]: item for item in [*status.get("initContainerStatuses", []), *status["containerStatuses"]]}


def test_init_containers_sidecars_last_words_and_limits(cluster: Cluster) -> None:
    beside = "trap 'echo sidecar ends; exit 0' TERM; touch /shared/beside; while true; do sleep 0.1; done"
    main = "cat /shared/word; ls /shared/beside && printf 'last words' > /dev/termination-log; sleep 4; exit 3"
    limited: Object = {"limits": {"memory": "48Mi", "cpu": "1"}}
    cluster.start(
        "story", **SHARED,
        initContainers=[
            sharing("echo made by setup | tee /shared/word", "setup"),
            sharing(beside, "beside", restartPolicy="Always",
                    startupProbe={"exec": {"command": ["ls", "/shared/beside"]}, "periodSeconds": 1}),
        ],
        containers=[
            sharing(main, "main", readinessProbe={"exec": {"command": ["true"]}, "periodSeconds": 1}),
            container("dd if=/dev/zero of=/dev/null bs=200M count=500", "greedy", resources=limited),
        ],
    )  # fmt: skip
    pod = cluster.wait_phase("story", "Failed")
    seen = {name: item["state"]["terminated"] for name, item in by_name(pod).items()}
    assert {name: end["exitCode"] for name, end in seen.items()} == {"setup": 0, "beside": 0, "main": 3, "greedy": 137}
    assert seen["main"]["message"] == "last words"
    assert seen["greedy"]["reason"] == "OOMKilled"
    assert seen["setup"]["finishedAt"] <= seen["main"]["startedAt"]
    assert cluster.logs("story", "-c", "setup") == "made by setup\n"
    assert cluster.logs("story", "-c", "main") == "made by setup\n/shared/beside\n"
    assert cluster.logs("story", "-c", "beside") == "sidecar ends\n"


def test_a_failed_container_is_started_again_and_its_earlier_log_is_kept(cluster: Cluster) -> None:
    script = "if [ -e /shared/once ]; then echo second; exit 0; fi; touch /shared/once; echo first; exit 5"
    cluster.start("again", **SHARED, restartPolicy="OnFailure", containers=[sharing(script, "main")])
    main = by_name(cluster.wait_phase("again", "Succeeded"))["main"]
    assert (main["restartCount"], main["lastState"]["terminated"]["exitCode"]) == (1, 5)
    assert (cluster.logs("again"), cluster.logs("again", "--previous")) == ("second\n", "first\n")


def test_an_init_container_that_fails_fails_the_pod_and_nothing_else_starts(cluster: Cluster) -> None:
    cluster.start("stopped", initContainers=[container("echo no; exit 4", "setup")], script="true")
    pod = cluster.wait_phase("stopped", "Failed")
    assert by_name(pod)["setup"]["state"]["terminated"]["exitCode"] == 4
    assert by_name(pod)["main"]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert cluster.logs("stopped", "-c", "setup") == "no\n"
