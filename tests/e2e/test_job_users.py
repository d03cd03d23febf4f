"""A whole install whose jobs belong to other users of the site, by site.yml and the service's own unit, until removal.

On a host of its own, beside the deployed one: its services may come and go. The tests go on from each other's state.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, pod
from tests.e2e.fresh import REMOVAL, FreshHost, ansible, fresh_host, run
from tests.e2e.slurm import Slurm
from tests.e2e.test_ansible import changed
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.site import SHARED

#: The node of this install; its taint keeps other tests' pods away.
NODE, TAINT = "e2e-users", {"Key": "e2e-users"}
#: Where the objects of this install are.
NAMESPACE = "interlink-users"
#: DataRootFolder: a folder of the disk that the site's hosts share, at a path of its own.
DATA = "/srv/e2e-users"
WITHOUT_USERS: dict[str, Any] = {"slurm_sidecar_job_users": [], "interlink_job_namespaces": {}}
UNIT = "interlink-slurm.service"


@pytest.fixture(scope="module")
def namespace(bed: Bed) -> Iterator[str]:
    """The namespace whose jobs are another user's."""
    bed.kubectl("create", "namespace", NODE)
    wait_for(
        "the namespace's service account",
        lambda: bed.kubectl("-n", NODE, "get", "serviceaccount", "default", "--ignore-not-found", "-o", "name"),
    )
    yield NODE
    bed.kubectl("delete", "namespace", NODE, "--wait=false")


@pytest.fixture(scope="module")
def data_folder(bed: Bed) -> Iterator[None]:
    """DataRootFolder's place, on every host of the site but the one that is to be installed."""
    hosts = [member.name for member in bed.layout.site]
    for name in hosts:
        bed.site(["sh", "-c", f"mkdir -p {SHARED}{DATA} {DATA} && mount --bind {SHARED}{DATA} {DATA}"], host=name)
    yield
    for name in hosts:
        bed.site(["sh", "-c", f"umount {DATA} && rmdir {DATA}"], host=name)
    bed.site(["rm", "-r", f"{SHARED}/srv"])


@pytest.fixture(scope="module")
def earlier(bed: Bed) -> set[str]:
    """What bears this install's names before there is any of it."""
    return objects(bed)


@pytest.fixture(scope="module")
def fresh(
    bed: Bed, tmp_path_factory: pytest.TempPathFactory, earlier: set[str], namespace: str, data_folder: None
) -> Iterator[FreshHost]:
    """The host with all of it installed, once."""
    variables: dict[str, Any] = {
        "interlink_namespace": NAMESPACE,
        "interlink_virtual_nodes": [{"name": NODE, "taints": [TAINT]}],
        "interlink_shared_folder": DATA,
        "interlink_job_namespaces": {namespace: {"User": "user"}},
        "slurm_sidecar_job_users": ["user", "other"],
    }
    with fresh_host(bed, tmp_path_factory.mktemp("fresh"), **variables) as host:
        host.sh(f"mkdir -p {SHARED}{DATA} {DATA} && mount --bind {SHARED}{DATA} {DATA}")
        try:
            run(host.command())
            yield host
        finally:  # what a failed test leaves must not stay in the cluster
            if host.sh("ls -d /opt/interlink 2>/dev/null || true"):
                run(host.command(playbook_file=REMOVAL, interlink_remove_jobs=True, interlink_remove_data=True))


@pytest.fixture
def pods(bed: Bed, namespace: str) -> Cluster:
    return Cluster(bed, namespace)


def start(pods: Cluster, name: str, script: str) -> str:
    """Start a pod on this install's node and return its UID."""
    place: dict[str, Any] = {"nodeSelector": {"kubernetes.io/hostname": NODE}, "tolerations": [{"operator": "Exists"}]}
    pods.apply(pod(name, script=script, **place))
    uid: str = pods.pod(name)["metadata"]["uid"]
    return uid


def facts(fresh: FreshHost) -> dict[str, str]:
    """Return what systemd says of the sidecar's unit."""
    return dict(line.split("=", 1) for line in fresh.sh(f"systemctl show {UNIT}").splitlines() if "=" in line)


def objects(bed: Bed) -> set[str]:
    """Return the objects of all kinds that bear this install's names, but for the namespace of the test's own pods."""
    kinds = bed.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    # What happened is told for another hour.
    kinds = [kind for kind in kinds if not kind.startswith("events")]
    names = bed.kubectl("get", ",".join(kinds), "--all-namespaces", "-o", "name").split()
    return {name for name in names if (NODE in name or NAMESPACE in name) and name != f"namespace/{NODE}"}


def test_a_pod_of_the_namespace_runs_and_ends_as_the_user_in_folders_of_the_user_alone(
    fresh: FreshHost, pods: Cluster, slurm: Slurm
) -> None:
    uid = start(pods, "whose", "id -u; trap 'exit 0' TERM; while :; do sleep 0.1; done")
    pods.wait_phase("whose", "Running", within=120)
    assert wait_for("its log", lambda: pods.logs("whose")) == "1501\n"
    assert slurm.job(uid)["UserId"] == "user(1501)"
    folders = (
        f"{DATA} {DATA}/users {DATA}/users/user {DATA}/users/user/jobs/{uid} {DATA}/users/user/jobs/{uid}/plan.json"
    )
    assert fresh.sh(f"stat --format='%U %a' {folders}").splitlines() == [
        "interlink 711", "interlink 1733", "user 700", "user 700", "user 600",
    ]  # fmt: skip
    assert "Permission denied" in fresh.sh(f"setpriv --reuid=other ls {DATA}/users/user 2>&1 || true")
    pods.kubectl("delete", "pod", "whose", "--wait=false")
    pods.wait_gone("whose")
    assert slurm.living(uid) == {}


def test_a_second_run_with_users_changes_nothing(fresh: FreshHost) -> None:
    output = run(fresh.command())
    assert changed(output) == 0, output
    assert facts(fresh)["NoNewPrivileges"] == "no"


def test_a_user_with_jobs_is_not_taken_away_not_even_in_check_mode(
    fresh: FreshHost, pods: Cluster, slurm: Slurm
) -> None:
    uid = start(pods, "stays", "sleep 600")
    pods.wait_phase("stays", "Running", within=120)
    (job,) = slurm.jobs(uid)
    done = ansible(fresh.command("--check", "--diff", **WITHOUT_USERS))
    assert done.returncode != 0
    assert f"loses other, user, whose jobs {job} still run" in " ".join(done.stdout.split()), done.stdout
    pods.kubectl("delete", "pod", "stays", "--wait=false", "--grace-period=1")
    pods.wait_gone("stays")


def test_without_users_the_host_is_as_hard_as_before_and_with_them_again_it_serves(fresh: FreshHost) -> None:
    run(fresh.command(**WITHOUT_USERS))
    seen = facts(fresh)
    assert (seen["NoNewPrivileges"], seen["ActiveState"]) == ("yes", "active")
    assert fresh.sh(f"ls /etc/sudoers.d/interlink 2>&1 || stat --format=%a {DATA}").splitlines()[-1] == "700"
    run(fresh.command())
    doctor = "runuser --user interlink -- /opt/interlink/venv/bin/interlink doctor --as user --as other -o json"
    found = {check["name"]: check for check in json.loads(fresh.sh(f"{doctor} || true"))["checks"]}
    assert (found["users"]["verdict"], found["users"]["said"]) == ("good", "can become user (1501), other (1502)")
    assert f"Namespaces.{NODE}.User: user" in found["pyslurm"]["said"]


def test_removal_lists_the_jobs_of_other_users_then_ends_them_and_leaves_nothing(
    bed: Bed, fresh: FreshHost, earlier: set[str], pods: Cluster, slurm: Slurm
) -> None:
    uid = start(pods, "last", "sleep 600")
    pods.wait_phase("last", "Running", within=120)
    (job,) = slurm.jobs(uid)
    refused = ansible(fresh.command(playbook_file=REMOVAL))
    assert refused.returncode != 0
    assert f"{job} RUNNING user {NODE}/last" in refused.stdout
    assert slurm.living(uid) == {job: "RUNNING"}
    kinds = {name.partition("/")[0].partition(".")[0] for name in objects(bed) - earlier}
    assert {"certificatesigningrequest", "clusterrole", "clusterrolebinding", "configmap", "deployment", "flowschema",
            "lease", "namespace", "node", "poddisruptionbudget", "role", "rolebinding", "secret",
            "serviceaccount"} <= kinds  # fmt: skip
    run(fresh.command(playbook_file=REMOVAL, interlink_remove_jobs=True, interlink_remove_data=True))
    assert slurm.living(uid) == {}
    places = ["/etc/sudoers.d/interlink", "/etc/systemd/system/interlink-*", "/opt/interlink", "/etc/interlink",
              "/var/lib/interlink", f"{DATA}/*"]  # fmt: skip
    assert fresh.sh(f"ls -d {' '.join(places)} 2>/dev/null || true") == ""
    assert "interlink" not in fresh.sh("getent passwd; systemctl list-units --all --no-legend 'interlink*'")
    # The node's lease is the garbage collector's to take.
    wait_for("nothing to be left", lambda: objects(bed) - earlier, lambda left: not left, within=120)
    again = run(fresh.command(playbook_file=REMOVAL, interlink_remove_jobs=True, interlink_remove_data=True))
    assert changed(again) == 0, again
