"""`ansible-playbook site.yml` against the test bed: the edge on the site, the virtual kubelet in the cluster."""

import json

from tests.demo.image import tag
from tests.demo.project import ROOT, SITE_PLAYBOOK, VENV, playbook_key
from tests.testbed.bed import Bed
from tests.testbed.errors import TestbedError, UnhealthyError
from tests.testbed.part import Step

NODE = "interlink"


def command(bed: Bed, *options: str, playbook: str = str(SITE_PLAYBOOK)) -> list[str]:
    """Return the ansible-playbook command for this bed."""
    return [
        str(VENV / "bin" / "ansible-playbook"),
        "--inventory", str(bed.paths.inventory),
        "--extra-vars", json.dumps({"interlink_vk_image": tag(bed)}),
        *options,
        playbook,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """Return what Ansible needs around it: the project's settings, and UTF-8."""
    return {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"}


def health(bed: Bed) -> str:
    """Say that what this tree deploys is deployed and lives; raises UnhealthyError with what is not so."""
    stamp = bed.paths.run / "deployed"
    if not stamp.exists() or stamp.read_text() != _key(bed):
        raise UnhealthyError("this tree has not been deployed to this bed")
    try:
        bed.site(["curl", "--silent", "--fail", "--max-time", "5", "http://127.0.0.1:3000/healthz"])
        ready = bed.kubectl("get", "node", NODE, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')
    except TestbedError as error:
        raise UnhealthyError(str(error)) from error
    if ready != "True":
        raise UnhealthyError(f"node {NODE} is not Ready")
    return f"node {NODE} is Ready"


def up(bed: Bed, step: Step) -> None:
    """Run the playbook."""
    step.say("ansible-playbook site.yml")
    step.run(command(bed), cwd=ROOT, env=environment())
    (bed.paths.run / "deployed").write_text(_key(bed))


def _key(bed: Bed) -> str:
    return playbook_key(tag(bed), bed.paths.inventory.read_text())
