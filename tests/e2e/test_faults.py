"""Things break: one job per pod whatever is killed when, and everything comes right when the edge is back."""

from collections.abc import Callable

import pytest

from tests.e2e.cluster import Cluster, container, pod
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.errors import CommandError

PODS = 24
#: slurmctld's StateSaveLocation.
SAVED = "/var/lib/slurm/slurmctld"


def kill_sidecar(bed: Bed) -> None:
    bed.site(["systemctl", "kill", "--signal=KILL", "--kill-whom=all", "interlink-slurm.service"])


def kill_api(bed: Bed) -> None:
    bed.site(["systemctl", "kill", "--signal=KILL", "--kill-whom=all", "interlink-api.service"])


def kill_virtual_kubelet(bed: Bed) -> None:
    """Kill the container's own process from the host that its kubelet runs on, once there is one (again)."""

    def killed() -> bool:
        command = ["pkill", "-KILL", "--full", "/opt/interlink/bin/interlink vk"]
        try:
            bed.docker.exec("interlink-cluster", command)
        except CommandError as error:
            if error.status != 1:
                raise
            return False
        return True

    wait_for("a virtual kubelet to kill", killed, within=180)


@pytest.mark.parametrize("kill", [kill_sidecar, kill_api, kill_virtual_kubelet])
def test_a_part_killed_while_pods_are_created_leaves_one_job_for_each(
    cluster: Cluster, slurm: Slurm, bed: Bed, kill: Callable[[Bed], None]
) -> None:
    names = [f"p{number}" for number in range(PODS)]
    small = {"requests": {"cpu": "1", "memory": "16Mi"}}
    pods = [pod(name, containers=[container("true", resources=small)]) for name in names]
    cluster.apply(*pods[: PODS // 2])
    # Mid-way: some of them are submitted and some are not.
    wait_for("the first job", lambda: _submitted(cluster, slurm), within=60)
    kill(bed)
    cluster.apply(*pods[PODS // 2 :])
    kill(bed)
    wait_for("all pods to succeed", lambda: _phases(cluster), lambda seen: seen == {"Succeeded": PODS}, within=240)
    jobs = slurm.all_jobs()
    counts = {item["metadata"]["name"]: len(jobs.get(item["metadata"]["uid"], {})) for item in cluster.pods()}
    assert counts == dict.fromkeys(names, 1)
    assert orphans(bed, slurm) == {}


@pytest.mark.parametrize("kill", [kill_sidecar, kill_api, kill_virtual_kubelet])
def test_a_part_killed_while_pods_are_deleted_leaves_no_job_behind(
    cluster: Cluster, slurm: Slurm, bed: Bed, kill: Callable[[Bed], None]
) -> None:
    small = {"requests": {"cpu": "1", "memory": "16Mi"}}
    cluster.apply(*[pod(f"p{n}", containers=[container("sleep 600", resources=small)]) for n in range(PODS // 2)])
    wait_for("jobs", lambda: len(_submitted(cluster, slurm)), lambda seen: seen == PODS // 2, within=120)
    uids = [item["metadata"]["uid"] for item in cluster.pods()]
    cluster.kubectl("delete", "pods", "--all", "--wait=false", "--grace-period=3")
    kill(bed)
    wait_for("all pods to be gone", lambda: cluster.pods(), lambda seen: not seen, within=240)
    living = slurm.all_jobs()
    assert [uid for uid in uids if slurm.living(uid)] == [], living
    assert orphans(bed, slurm) == {}


def orphans(bed: Bed, slurm: Slurm) -> dict[str, dict[int, str]]:
    """Return the living jobs whose comment is no pod of the cluster, once those of finished pods have gone."""

    def left() -> dict[str, dict[int, str]]:
        pods = set(bed.kubectl("get", "pods", "--all-namespaces", "-o", "jsonpath={.items[*].metadata.uid}").split())
        return {uid: jobs for uid, jobs in slurm.all_living().items() if uid not in pods}

    return wait_for("every job to have its pod", left, lambda seen: not seen, within=60)


def test_a_pod_removed_by_force_leaves_no_job_behind(cluster: Cluster, slurm: Slurm) -> None:
    uid = cluster.start("forced", script="sleep 600")["metadata"]["uid"]
    cluster.wait_phase("forced", "Running")
    cluster.kubectl("delete", "pod", "forced", "--force", "--grace-period=0")
    wait_for("its job to end", lambda: slurm.living(uid), lambda seen: not seen, within=90)


@pytest.mark.parametrize("service", ["interlink-api.service", "interlink-slurm.service"])
def test_while_the_edge_is_away_pods_stay_as_they_are_and_come_right_afterwards(
    cluster: Cluster, slurm: Slurm, bed: Bed, service: str
) -> None:
    before = cluster.start("before", script="sleep 30")["metadata"]["uid"]
    cluster.wait_phase("before", "Running")
    bed.site(["systemctl", "stop", service])
    try:
        after = cluster.start("after", script="true")["metadata"]["uid"]
        wait_for("the node to say that the edge is away", lambda: _reachable(bed), lambda seen: seen == "False")
        # The job ends meanwhile; nobody can know.
        wait_for("the job's end", lambda: slurm.living(before), lambda seen: not seen, within=60)
        assert cluster.pod("before")["status"]["phase"] == "Running"
        assert cluster.pod("after").get("status", {}).get("phase") == "Pending"
        assert slurm.jobs(after) == {}
    finally:
        bed.site(["systemctl", "start", service])
    for name in ("before", "after"):
        assert cluster.wait_phase(name, "Succeeded", "Failed", within=120)["status"]["phase"] == "Succeeded"
    assert wait_for("the node to say it is back", lambda: _reachable(bed), lambda seen: seen == "True")


def test_a_namespace_deleted_while_the_sidecar_is_away_ends_its_jobs_once_it_is_back_and_goes_only_then(
    cluster: Cluster, slurm: Slurm, bed: Bed
) -> None:
    runs = cluster.start("runs", script="sleep 600", terminationGracePeriodSeconds=2)["metadata"]["uid"]
    cluster.wait_phase("runs", "Running")
    bed.site(["systemctl", "stop", "interlink-slurm.service"])
    try:
        never = cluster.start("never", script="sleep 600")["metadata"]["uid"]
        bed.kubectl("delete", "namespace", cluster.namespace, "--wait=false")
        wait_for("the pod to be marked as deleted", lambda: _deleted(cluster, "runs"), within=30)
        wait_for("the node to say that the edge is away", lambda: _reachable(bed), lambda seen: seen == "False")
        assert list(slurm.living(runs).values()) == ["RUNNING"]
        assert _deleted(cluster, "runs")  # and there all the same
    finally:
        bed.site(["systemctl", "start", "interlink-slurm.service"])
    cluster.wait_gone("runs")
    assert slurm.living(runs) == {}  # the object was the last to go
    namespace = ("get", "namespace", cluster.namespace, "--ignore-not-found", "-o", "name")
    wait_for("the namespace to be gone", lambda: bed.kubectl(*namespace), lambda seen: not seen, within=60)
    assert slurm.jobs(never) == {}


def test_a_controller_that_hangs_loses_nothing(cluster: Cluster, slurm: Slurm, bed: Bed) -> None:
    bed.site(["pkill", "--signal", "STOP", "--exact", "slurmctld"])
    try:
        uid = cluster.start("patient", script="echo here")["metadata"]["uid"]
        wait_for(
            "the virtual kubelet to have tried", lambda: cluster.events("patient"),
            lambda events: any(event["reason"] != "Scheduled" for event in events), within=60,
        )  # fmt: skip
        assert cluster.pod("patient")["status"]["phase"] == "Pending"
    finally:
        bed.site(["pkill", "--signal", "CONT", "--exact", "slurmctld"])
    # A submit that was never answered is in doubt for 60 s, and the virtual kubelet's pauses grow to 60 s.
    assert cluster.wait_phase("patient", "Succeeded", "Failed", within=180)["status"]["phase"] == "Succeeded"
    assert len(slurm.jobs(uid)) == 1


def test_a_controller_killed_before_it_has_saved_its_state_loses_nothing(
    cluster: Cluster, slurm: Slurm, bed: Bed
) -> None:
    before = cluster.start("before", script="sleep 20")["metadata"]["uid"]
    cluster.wait_phase("before", "Running")
    _let_slurmctld_save(bed, slurm.job(before)["JobId"])
    # What it saves only every five minutes is not there after the end of a machine in its first ones.
    bed.site(["sh", "-c", f"pkill --signal KILL --exact slurmctld; rm -f {SAVED}/assoc_usage*"])
    after = cluster.start("after", script="echo here")["metadata"]["uid"]
    for name, uid in (("before", before), ("after", after)):
        assert cluster.wait_phase(name, "Succeeded", "Failed", within=120)["status"]["phase"] == "Succeeded"
        assert len(slurm.jobs(uid)) == 1


@pytest.mark.parametrize("body", ["", "{", "[1]", '{"pod":3}', '{"pod":{"metadata":{"name":"../x","uid":"y"}}}', "\\0"])
@pytest.mark.parametrize("path", ["create", "delete", "getLogs", "status"])
def test_a_malformed_request_is_answered_400_with_a_reason(bed: Bed, path: str, body: str) -> None:
    for service in (
        ["http://127.0.0.1:3000", "--header", "@/run/interlink-e2e-token"],
        ["http://localhost", "--unix-socket", "/run/interlink-slurm/slurm.sock"],
    ):
        url, *options = service
        _write_token_header(bed)
        answer = bed.site(
            ["curl", "--silent", "--max-time", "10", "--write-out", "\n%{http_code}", "--request", "POST",
             "--data-binary", body, *options, f"{url}/{path}"]
        )  # fmt: skip
        text, status = answer.rsplit("\n", 1)
        if path == "status" and body == "[1]":
            assert status == "400"
        assert status == "400", (service, text)
        assert "description" in text
    main_pids = bed.site(["systemctl", "show", "--property=NRestarts,ActiveState", "interlink-api", "interlink-slurm"])
    assert main_pids.count("ActiveState=active") == 2


def test_nonsense_at_the_virtual_kubelets_port_is_answered_and_leaves_it_running(bed: Bed) -> None:
    address = bed.kubectl(
        "get", "node", "interlink", "-o", 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'
    )
    curl = [
        "curl",
        "--silent",
        "--insecure",
        "--max-time",
        "10",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    ]
    url = f"https://{address}:10250"
    no_length = ["--header", "Content-Length: many", f"{url}/healthz"]
    assert bed.docker.exec("interlink-cluster", [*curl, *no_length]) == "400"
    for path, status in {"/no/such/thing": "401", "/containerLogs/a/b/c?tailLines=x": "401", "/healthz": "200"}.items():
        assert bed.docker.exec("interlink-cluster", [*curl, url + path]) == status


def test_the_api_lets_nobody_in_without_the_token(bed: Bed) -> None:
    code = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--request", "POST"]
    url = f"http://{bed.edge_address}:3000/pinglink"
    assert bed.site([*code, url]) == "401"
    assert bed.site([*code, "--header", "Authorization: Bearer wrong", url]) == "403"


def _write_token_header(bed: Bed) -> None:
    token = '"$(grep -v ^# /etc/interlink/vk-tokens | head -n1)"'
    script = f"umask 077; printf 'Authorization: Bearer %s\\n' {token} >/run/interlink-e2e-token"
    bed.site(["sh", "-c", script])


def _let_slurmctld_save(bed: Bed, job: str) -> None:
    """Wait until slurmctld has saved its jobs, seconds after a change; killed before that, it loses the last ones."""
    changed = f"touch /run/interlink-e2e-changed && scontrol update JobId={job} TimeLimit=9"
    bed.site(["sh", "-c", changed])
    newer = ["find", f"{SAVED}/job_state", "-newer", "/run/interlink-e2e-changed"]
    wait_for("slurmctld to save its jobs", lambda: bed.site(newer), within=30)


def _deleted(cluster: Cluster, name: str) -> bool:
    """Whether the pod is there, and marked as deleted."""
    return "deletionTimestamp" in cluster.pod(name)["metadata"]


def _submitted(cluster: Cluster, slurm: Slurm) -> list[str]:
    jobs = slurm.all_jobs()
    return [item["metadata"]["uid"] for item in cluster.pods() if item["metadata"]["uid"] in jobs]


def _phases(cluster: Cluster) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in cluster.pods():
        phase = item.get("status", {}).get("phase", "none")
        counts[phase] = counts.get(phase, 0) + 1
    return counts


def _reachable(bed: Bed) -> str:
    path = '{.status.conditions[?(@.type=="InterLinkReachable")].status}'
    return bed.kubectl("get", "node", "interlink", "-o", f"jsonpath={path}")
