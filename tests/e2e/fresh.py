"""A host of the site that was never touched, to install on and to take away again, beside the deployed edge host."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.demo import playbook
from tests.demo.project import ROOT, SITE_PLAYBOOK
from tests.testbed import host, inventory, site
from tests.testbed.bed import Bed
from tests.testbed.layout import Host, Layout
from tests.testbed.part import Step

MEMBER = Host("fresh", 30, ("edge",))
REMOVAL = ROOT / "playbooks" / "remove.yml"


def ansible(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run ansible-playbook to its end, whatever that is."""
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **playbook.environment()}, capture_output=True, text=True, timeout=900,
        check=False,
    )  # fmt: skip


def run(command: Sequence[str]) -> str:
    """Run ansible-playbook; fail with all that it said."""
    done = ansible(command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class FreshHost:
    """The host, and the playbooks as its administrator runs them."""

    def __init__(self, bed: Bed, file: Path, **variables: Any) -> None:
        """``variables`` are the inventory's, over those of the bed."""
        self.bed = bed
        self.file = file
        self.variables = variables

    def command(self, *options: str, playbook_file: Path = SITE_PLAYBOOK, **variables: Any) -> list[str]:
        """Return the ansible-playbook command for this host."""
        extra = ("--extra-vars", json.dumps({**self.variables, **variables}))
        words = playbook.command(self.bed, *extra, *options, playbook=str(playbook_file))
        return [str(self.file) if word == str(self.bed.paths.inventory) else word for word in words]

    def sh(self, script: str) -> str:
        """Run a shell script there as root and return what it prints."""
        return self.bed.site(["sh", "-c", script], host=MEMBER.name)


@contextmanager
def fresh_host(bed: Bed, folder: Path, **variables: Any) -> Iterator[FreshHost]:
    """Bring the host up for the time of the block; ``folder`` is for the inventory and the log."""
    other = Bed(bed.paths, Layout(site=(MEMBER,), cluster=bed.layout.cluster))
    container = site.container(other, MEMBER)
    step = Step(MEMBER.name, folder / "fresh.log", stop=threading.Event())

    def check() -> str:
        site.record_host_key(other, MEMBER)
        return site.host_health(other, MEMBER)

    host.ensure(other, step, container, check, within=60)
    try:
        file = folder / "inventory.yml"
        file.write_text(inventory.render(other))
        fresh = FreshHost(bed, file, **variables)
        names = "\\n".join(f"{bed.network.address(member)} {member.name}" for member in bed.layout.site)
        fresh.sh(f"printf '{names}\\n' >> /etc/hosts")  # where the controller is
        yield fresh
    finally:
        bed.docker.remove_container(MEMBER.container)
