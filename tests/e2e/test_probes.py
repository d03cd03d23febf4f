"""Probes and hooks of pods, in the real containers of the site."""

import random
from typing import Any

from tests.e2e.cluster import Cluster, Object, container
from tests.e2e.waiting import wait_for


def run(script: str) -> Object:
    """Return a handler that runs a script in the container."""
    return {"exec": {"command": ["sh", "-c", script]}}


def ready(pod: Object) -> dict[str, bool]:
    """Return which of the pod's containers are ready."""
    return {item["name"]: item["ready"] for item in pod["status"].get("containerStatuses", [])}


def test_hooks_and_readiness_act_in_the_container_itself_and_over_its_network(cluster: Cluster) -> None:
    port = random.randint(20000, 30000)
    script = (
        "until [ -f /tmp/hook ]; do sleep 0.1; done; cat /tmp/hook; mkdir /tmp/www; "
        f"httpd -p {port} -h /tmp/www; sleep 15; echo yes > /tmp/www/ready; "
        "trap 'echo asked; exit 0' TERM; while :; do sleep 0.1; done"
    )
    every_second: dict[str, Any] = {"periodSeconds": 1, "timeoutSeconds": 5}
    web = container(
        script, name="web", env=[{"name": "WORD", "value": "a 'b' $(c)"}], workingDir="/tmp",
        ports=[{"name": "web", "containerPort": port}],
        readinessProbe={"httpGet": {"path": "/ready", "port": "web"}, **every_second},
        lifecycle={
            "postStart": run('echo "hook of $WORD in $PWD" > /tmp/hook'),
            "preStop": run("echo preStop > /proc/1/fd/1; sleep 1"),
        },
    )  # fmt: skip
    listener = container("sleep 1000", name="tcp", readinessProbe={"tcpSocket": {"port": port}, **every_second})
    cluster.start("probed", containers=[web, listener], terminationGracePeriodSeconds=10)
    seen = wait_for("the port to be open", lambda: cluster.pod("probed"), lambda pod: ready(pod).get("tcp", False))
    assert ready(seen) == {"web": False, "tcp": True}
    assert cluster.logs("probed", "-c", "web") == "hook of a 'b' $(c) in /tmp\n"
    cluster.kubectl("wait", "--for=condition=Ready", "pod/probed", "--timeout=60s", timeout=70)
    said = cluster.log_of_end("probed", "delete", "pod", "probed", "--wait=false", container="web")
    assert said.splitlines() == ["hook of a 'b' $(c) in /tmp", "preStop", "asked"]
    cluster.wait_gone("probed")


def test_a_container_whose_liveness_probe_fails_is_started_again_after_the_probes_own_grace(cluster: Cluster) -> None:
    script = "trap '' TERM; sleep 1; touch /tmp/up /tmp/alive; sleep 3; rm /tmp/alive; while :; do sleep 0.1; done"
    mortal = container(
        script,
        startupProbe=run("test -f /tmp/up") | {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 60},
        livenessProbe=run("echo looked; test -f /tmp/alive")
        | {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 1, "terminationGracePeriodSeconds": 1},
    )
    cluster.start("mortal", containers=[mortal], restartPolicy="Always", terminationGracePeriodSeconds=600)
    status = wait_for(
        "a restart",
        lambda: cluster.pod("mortal")["status"].get("containerStatuses", [{}])[0],
        lambda seen: seen.get("restartCount", 0) > 0 and seen.get("started"),
    )
    end = status["lastState"]["terminated"]
    assert end["exitCode"] == 137
    assert "failed liveness probe" in end["message"]
    assert "looked" in end["message"]
    cluster.kubectl("delete", "pod", "mortal", "--wait=false", "--grace-period=1")
    cluster.wait_gone("mortal")
