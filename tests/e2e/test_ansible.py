"""The playbooks as an administrator runs them: once, again, in check mode, and for what they leave on the hosts."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.demo import playbook
from tests.e2e.fresh import fresh_host, run
from tests.testbed.bed import Bed
from tests.testbed.errors import CommandError


def changed(output: str) -> int:
    """Return how many tasks of a run changed something, over all hosts."""
    counts = re.findall(r"changed=(\d+)", output)
    assert counts, output
    return sum(map(int, counts))


def secret(bed: Bed) -> str:
    """Return the virtual kubelet's token."""
    lines = bed.site(["cat", "/etc/interlink/vk-tokens"]).splitlines()
    return next(line for line in lines if line and not line.startswith("#"))


def test_a_second_run_changes_nothing(bed: Bed) -> None:
    output = run(playbook.command(bed))
    assert changed(output) == 0, output


def test_check_mode_on_a_fresh_host_tells_and_changes_nothing(bed: Bed, tmp_path: Path) -> None:
    with fresh_host(bed, tmp_path, interlink_namespace="interlink-fresh") as fresh:
        assert changed(run(fresh.command("--check", "--diff"))) > 0
        assert fresh.sh("ls -d /etc/interlink /opt/interlink 2>/dev/null || true") == ""
    assert "interlink-fresh" not in bed.kubectl("get", "namespaces", "-o", "name")


def test_no_secret_stands_in_the_playbooks_output(bed: Bed) -> None:
    token = secret(bed)
    assert len(token) >= 32
    assert token not in run(playbook.command(bed, "--check", "--diff", "-vv"))


def test_the_services_are_hardened_units_of_an_unprivileged_user(bed: Bed) -> None:
    for unit in ("interlink-api.service", "interlink-slurm.service"):
        shown = bed.site(["systemctl", "show", unit])
        facts = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        assert facts["User"] == "interlink"
        assert facts["ActiveState"] == "active"
        assert facts["NoNewPrivileges"] == "yes"
        assert facts["ProtectSystem"] == "strict"
        assert facts.get("CapabilityBoundingSet", "") == ""  # systemd leaves an empty one out


def test_secrets_are_files_that_others_cannot_read(bed: Bed) -> None:
    for path, modes in {
        "/etc/interlink/vk-tokens": {"640", "600"},
        "/etc/interlink/kubeconfig": {"640", "600"},
        "/etc/interlink/InterLinkConfig.yaml": {"640", "600"},
        "/var/lib/interlink": {"700"},
        "/srv/interlink/jobs": {"700"},
    }.items():
        assert bed.site(["stat", "-c", "%a", path]).strip() in modes, path


def test_no_secret_stands_in_a_process_list_or_environment(bed: Bed) -> None:
    token = secret(bed)
    everything = bed.site(["sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"])
    assert token not in everything


def test_the_kubeconfig_on_the_edge_host_works_for_the_plugins(bed: Bed, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(bed.site(["cat", "/etc/interlink/kubeconfig"]))
    kubectl = [str(bed.paths.bin / "kubectl"), f"--kubeconfig={file}"]
    who = subprocess.run([*kubectl, "auth", "whoami", "-o", "json"], capture_output=True, text=True, check=True)
    assert json.loads(who.stdout)["status"]["userInfo"]["username"].startswith("system:serviceaccount:interlink:")
    refused = subprocess.run([*kubectl, "get", "secrets", "-A"], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "forbidden" in refused.stderr.lower()


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("watch", "pods", "yes"), ("patch", "pods --subresource=status", "yes"), ("get", "configmaps", "yes"),
        ("list", "secrets", "no"), ("create", "pods", "no"), ("patch", "pods", "no"), ("delete", "nodes", "no"),
        ("get", "nodes/testbed-node", "no"), ("patch", "nodes/testbed-node", "no"),
    ],
)  # fmt: skip
def test_the_virtual_kubelet_may_do_what_it_needs_and_no_more(bed: Bed, verb: str, resource: str, allowed: str) -> None:
    account = bed.kubectl("-n", "interlink", "get", "pods", "-l", "app.kubernetes.io/name=interlink-vk",
                          "-o", "jsonpath={.items[0].spec.serviceAccountName}")  # fmt: skip
    who = f"system:serviceaccount:interlink:{account}"
    try:
        answer = bed.kubectl("auth", "can-i", verb, *resource.split(), f"--as={who}", "--all-namespaces")
    except CommandError as error:
        answer = error.output
    assert answer.splitlines()[-1].startswith(allowed)
