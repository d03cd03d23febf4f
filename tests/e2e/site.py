"""What end-to-end tests do on the site's hosts: commands as a user, ssh between hosts, Slurm's daemons at fault."""

import shlex
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.waiting import wait_for
from tests.testbed import site, slurm
from tests.testbed.bed import Bed
from tests.testbed.errors import CommandError, UnhealthyError

CONF = "/etc/slurm/slurm.conf"


@dataclass(frozen=True)
class SshAccess:
    """The files that let one user in: a private key that only its owner reads, and the host's key on record."""

    key: str
    known_hosts: str


def run_as(bed: Bed, user: str, command: Sequence[str], host: str = "edge", timeout: float = 120) -> str:
    """Run a command on a site host as a user, whatever shell that user has; return its stdout, raise CommandError."""
    home = f"HOME={bed.site(['getent', 'passwd', user], host=host).split(':')[5]}"
    ids = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
    return bed.site(["env", home, f"USER={user}", f"LOGNAME={user}", *ids, *command], host=host, timeout=timeout)


def known_hosts(bed: Bed) -> str:
    """Return the known_hosts lines of all site hosts, by name and address, read from the hosts themselves."""
    lines = []
    for member in bed.layout.site:
        kind, key, *_ = bed.site(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"], host=member.name).split()
        lines.append(f"{member.name},{bed.network.address(member)} {kind} {key}")
    return "\n".join(lines) + "\n"


@contextmanager
def ssh_access(bed: Bed, *, owner: str, to_host: str, to_user: str, folder: str = site.SHARED) -> Iterator[SshAccess]:
    """Give ``owner`` a key below ``folder`` of the edge host that lets it in as a user of another host, for a while.

    The default folder is shared by all site hosts, so that a job finds the key too.
    """
    mark = f"e2e-{uuid.uuid4().hex[:12]}"
    place = f"{folder}/ssh-{mark}"
    script = (
        f"umask 077 && mkdir {place} && ssh-keygen -q -t ed25519 -N '' -C {mark} -f {place}/key && "
        f"printf %s {shlex.quote(known_hosts(bed))} > {place}/known_hosts && chown -R {owner}: {place}"
    )
    bed.site(["sh", "-c", script])
    home = bed.site(["getent", "passwd", to_user], host=to_host).split(":")[5]
    public = bed.site(["cat", f"{place}/key.pub"]).strip()
    let_in = f"umask 077 && mkdir -p {home}/.ssh && printf '%s\\n' {shlex.quote(public)} >> {home}/.ssh/authorized_keys"
    bed.site(["sh", "-c", f"{let_in} && chown -R {to_user}: {home}/.ssh"], host=to_host)
    try:
        yield SshAccess(f"{place}/key", f"{place}/known_hosts")
    finally:
        bed.site(["sed", "--in-place", f"/{mark}$/d", f"{home}/.ssh/authorized_keys"], host=to_host)
        bed.site(["rm", "--recursive", place])


@contextmanager
def frozen(bed: Bed, daemon: str) -> Iterator[None]:
    """Stop a daemon of Slurm's (slurmctld, slurmdbd, slurmd on the edge) without a word, for a while: it hangs."""
    host = bed.layout.site_host(daemon).name
    bed.site(["pkill", "--signal", "STOP", "--exact", daemon], host=host)
    try:
        yield
    finally:
        bed.site(["pkill", "--signal", "CONT", "--exact", daemon], host=host)


@contextmanager
def stopped(bed: Bed, daemon: str) -> Iterator[None]:
    """End a daemon of Slurm's for a while: its port refuses. What it knew it knows afterwards."""
    host = bed.layout.site_host(daemon).name
    bed.site(["systemctl", "stop", daemon], host=host)
    try:
        yield
    finally:
        bed.site(["systemctl", "start", daemon], host=host)
        wait_for("Slurm to take jobs", lambda: _healthy(bed), within=60)


@contextmanager
def setting(bed: Bed, key: str, value: str) -> Iterator[None]:
    """Give one key of slurm.conf another value on the controller for a while, such as MinJobAge 2.

    slurmctld purges its memory once a minute, so a job is forgotten up to a minute after MinJobAge.
    """
    with configured(bed, {key: value}):
        yield


@contextmanager
def configured(bed: Bed, settings: Mapping[str, str], more: Sequence[str] = ()) -> Iterator[None]:
    """Give keys of slurm.conf other values on the controller for a while, and append lines, such as a node's."""
    host = bed.layout.site_host("slurmctld").name
    before = bed.site(["cat", CONF], host=host)
    lines = [line for line in before.splitlines() if line.partition("=")[0] not in settings]
    own = "\n".join([*(f"{key}={value}" for key, value in settings.items()), *lines, *more]) + "\n"
    try:
        # Nodes that are not of the bed's layout make it unhealthy by its own book.
        _configure(bed, host, own, lambda: _answers(bed) if more else _healthy(bed))
        yield
    finally:
        _configure(bed, host, before, lambda: _healthy(bed))


@contextmanager
def qos(bed: Bed, name: str, *options: str) -> Iterator[None]:
    """Add a QOS that all users of the site's account may use, for a while."""
    sacctmgr = ["sacctmgr", "--immediate", "--quiet"]
    host = bed.layout.site_host("slurmdbd").name
    users = f"user={','.join(slurm.USERS)}"
    bed.site([*sacctmgr, "add", "qos", name, *options], host=host)
    try:
        bed.site([*sacctmgr, "modify", "user", "where", users, "set", f"qos+={name}"], host=host)
        yield
    finally:
        bed.site([*sacctmgr, "delete", "qos", name], host=host)  # and from those who had it


def _configure(bed: Bed, host: str, text: str, good: Callable[[], bool]) -> None:
    bed.site(["sh", "-c", f"printf %s {shlex.quote(text)} > {CONF} && scontrol reconfigure"], host=host)
    wait_for("Slurm to take jobs", good, within=60)


def _answers(bed: Bed) -> bool:
    try:
        return " UP" in bed.site(["scontrol", "ping"], host=bed.layout.site_host("slurmctld").name)
    except CommandError:
        return False


def _healthy(bed: Bed) -> bool:
    try:
        return bool(slurm.health(bed))
    except UnhealthyError:
        return False
