"""What a pod says arrives as bytes and is run by nobody; what is secret stays with the job's user."""

import base64
import secrets

from tests.e2e.cluster import Cluster, container
from tests.e2e.slurm import Slurm
from tests.testbed.bed import Bed

#: ``{mark}`` is a file that only a shell of the site would make.
HOSTILE = (
    "; touch {mark};", "$(touch {mark})", "`touch {mark}`", "' ; touch {mark} ; '", '" ; touch {mark} ; "',
    "\n touch {mark} \n", "| touch {mark}", "> {mark}", "${{IFS}}touch${{IFS}}{mark}", "--wrap=touch {mark}", "-D",
    "#SBATCH --output={mark}", "\\", "%j %x", "", " ", "\t", "ü\u2028","$$HOME", "a,b=c:d", "{{{{ 7 * 7 }}}}",
)  # fmt: skip
#: Prints arguments, variables V0 and on, and the names and contents of files, each as a line of hexadecimal digits.
SHOW = r"""
hex() { od -An -v -tx1 | tr -d ' \n'; echo; }
for word in "$@"; do printf %s "$word" | hex; done
i=0; while [ $i -lt $# ]; do eval "printf %s \"\$V$i\"" | hex; i=$((i + 1)); done
for file in /odd/*; do printf %s "${file#/odd/}" | hex; hex < "$file"; done
"""


def test_hostile_texts_arrive_byte_for_byte_and_run_nothing(cluster: Cluster, bed: Bed) -> None:
    mark = f"/srv/interlink/ran-{cluster.namespace}"
    texts = [text.format(mark=mark) for text in HOSTILE]
    files = {f"k{index}": text for index, text in enumerate(texts)}
    names = {key: text.replace("/", "_") for key, text in files.items() if text.strip() and not text.startswith("..")}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "data": files})
    escaped = [text.replace("$", "$$") for text in texts]  # else Kubernetes itself would expand $(…)
    env = [{"name": f"V{index}", "value": text} for index, text in enumerate(escaped)]
    shown = container("", env=env, volumeMounts=[{"name": "odd", "mountPath": "/odd"}])
    shown |= {"command": ["sh", "-c", SHOW, "-x"], "args": escaped}
    items = [{"key": key, "path": name} for key, name in names.items()]
    cluster.start(
        "hostile", containers=[shown], volumes=[{"name": "odd", "configMap": {"name": "odd", "items": items}}],
        annotations={f"example.org/a{index}": text for index, text in enumerate(texts)},
    )  # fmt: skip
    pod = cluster.wait_phase("hostile", "Succeeded", "Failed")
    assert pod["status"]["phase"] == "Succeeded", pod["status"]
    lines = [bytes.fromhex(line).decode() for line in cluster.logs("hostile").splitlines()]
    count = len(texts)
    assert lines[:count] == texts
    assert lines[count : 2 * count] == texts
    found = lines[2 * count :]
    assert dict(zip(found[::2], found[1::2], strict=True)) == {names[key]: files[key] for key in names}
    assert bed.site(["sh", "-c", f"ls {mark} 2>/dev/null || true"]) == ""


def test_a_secret_is_seen_by_the_container_and_the_jobs_user_alone(cluster: Cluster, bed: Bed, slurm: Slurm) -> None:
    secret = secrets.token_hex(20)
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"key": secret}})
    holder = container(
        'test "$(cat /keys/key)" = "$KEY" && echo same; sleep 1000',
        env=[{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}}],
        volumeMounts=[{"name": "keys", "mountPath": "/keys"}],
        readinessProbe={"exec": {"command": ["sh", "-c", 'test "$(cat /keys/key)" = "$KEY"']}, "periodSeconds": 1,
                        "timeoutSeconds": 5},
    )  # fmt: skip
    volume = {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o400}}
    uid = cluster.start("holder", containers=[holder], volumes=[volume])["metadata"]["uid"]
    cluster.kubectl("wait", "--for=condition=Ready", "pod/holder", "--timeout=90s", timeout=100)
    assert cluster.logs("holder") == "same\n"
    (job,) = slurm.jobs(uid)

    folder = f"/srv/interlink/jobs/{uid}"
    assert bed.site(["stat", "--format=%a %U", folder]) == "700 interlink\n"
    encoded = base64.b64encode(secret.encode()).decode()
    holding = bed.site(["grep", "-rlF", "-e", secret, "-e", encoded, folder]).splitlines()
    rights = bed.site(["stat", "--format=%a %U %n", *holding]).splitlines()
    assert holding
    assert [line for line in rights if line.split()[0] not in ("600", "400") or line.split()[1] != "interlink"] == []

    for what, command in {
        "the job": ["scontrol", "show", "--details", "job", str(job)],
        "its script": ["scontrol", "write", "batch_script", str(job), "-"],
        "the journal": ["journalctl", "--no-pager", "--since=-10min"],
        "Slurm's logs": ["sh", "-c", "cat /var/log/slurm*/*.log /var/log/slurm*.log 2>/dev/null || true"],
        "argv of processes": ["sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' || true"],
        "environments of services": [
            "sh", "-c", "for s in interlink-api interlink-slurm; do "
            "for p in $(cat /sys/fs/cgroup$(systemctl show -P ControlGroup $s)/cgroup.procs); do "
            "tr '\\0' '\\n' < /proc/$p/environ; done; done",
        ],
    }.items():  # fmt: skip
        text = bed.site(command)
        assert text, what
        assert secret not in text, what
    cluster.kubectl("delete", "pod", "holder", "--wait=false", "--grace-period=1")
    cluster.wait_gone("holder")


def test_the_sidecar_is_reached_by_its_socket_alone_and_tcp_by_nobody_without_a_token(bed: Bed) -> None:
    listening = bed.site(["ss", "-Hltunp"]).splitlines()
    assert [line for line in listening if f"pid={pid_of(bed, 'interlink-slurm')}," in line] == []
    api = [line.split()[4].rpartition(":")[2] for line in listening if f"pid={pid_of(bed, 'interlink-api')}," in line]
    for port in api:
        code = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{port}/status"]
        assert bed.site(code) == "401"


def pid_of(bed: Bed, service: str) -> str:
    """Return a service's process."""
    return bed.site(["systemctl", "show", "-P", "MainPID", service]).strip()
