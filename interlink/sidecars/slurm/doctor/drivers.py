"""Which ways to Slurm fit this site, and why the others do not."""

import re

from interlink.config import Config
from interlink.sidecars.slurm.doctor.check import Check, Finding, Site, bad, fair, good
from interlink.sidecars.slurm.driver import SlurmDriver, SlurmUnavailable
from interlink.sidecars.slurm.drivers.choice import of_others
from interlink.sidecars.slurm.drivers.cli import fields
from interlink.sidecars.slurm.drivers.cli.driver import CliDriver
from interlink.sidecars.slurm.drivers.pyslurm_process import PyslurmDriver
from interlink.sidecars.slurm.transport.host import Host, HostUnavailable

_SECONDS = 20.0
#: What ssh prints → what to do.
_SSH_HINTS = (
    ("Host key verification failed", "compare the login node's key with its administrator's word, and put the line of "
     "`ssh-keyscan HOST` into SshKnownHostsFile"),
    ("Permission denied", "put the public half of SshKeyFile into authorized_keys of SshUser on the login node"),
    ("UNPROTECTED PRIVATE KEY", "chmod 600 the file of SshKeyFile"),
    ("Could not resolve", "check SshHost"),
    ("timed out", "check SshHost, SshPort and the firewall between"),
    ("refused", "check SshHost, SshPort and that sshd runs there"),
    ("not found", "set PythonPath to a Python 3.6 or newer of the login node"),
    ("No such file", "set PythonPath to a Python 3.6 or newer of the login node"),
)  # fmt: skip


def commands(config: Config) -> tuple[str, ...]:
    """Return the commands that cli and ssh run."""
    return (config.sbatch_path, config.squeue_path, config.scancel_path, config.sinfo_path, config.sacct_path)


class Pyslurm(Check):
    """pyslurm can be loaded, was built for this Slurm, and the controller answers it."""

    name, needed, driver = "pyslurm", False, "pyslurm"

    def look(self, site: Site) -> Finding:
        others = of_others(site.config, site.hosts)
        if others:
            return bad(others, "cli and ssh become those users")
        driver = PyslurmDriver(min(site.config.slurm_call_timeout, _SECONDS))
        try:
            driver.start()
            nodes = driver.totals("").nodes
        except SlurmUnavailable as error:
            return bad(str(error), "the role slurm_sidecar builds it for Slurm 25.11 and 26.05; elsewhere cli serves")
        finally:
            driver.close()
        return good(f"answers, {nodes} nodes in the default partition")


class LocalCommands(Check):
    """Slurm's commands are on this host."""

    name, needed, driver = "commands here", False, "cli"

    def look(self, site: Site) -> Finding:
        return _commands_on(site.hosts.local, site.config)


class LoginNode(Check):
    """The login node lets us in: its key is known, ours is good, and it has a Python."""

    name, driver = "login node", "ssh"

    def applies(self, site: Site) -> bool:
        return bool(site.config.ssh_host)

    def look(self, site: Site) -> Finding:
        config = site.config
        for key, file in (("SshKeyFile", config.ssh_key_file), ("SshKnownHostsFile", config.ssh_known_hosts_file)):
            if file and not file.is_file():
                return bad(f"{key}: {file} is not there", "put it there, readable by the service's user alone")
        try:
            hello, _ = site.hosts.login.call("hello", {})
        except HostUnavailable as error:
            words = str(error)
            todo = next((todo for piece, todo in _SSH_HINTS if piece.lower() in words.lower()), "try it with ssh -v")
            return bad(words, todo)
        return good(f"{hello['user']}@{config.ssh_host}, Python {hello['python']}, host key known")


class LoginCommands(Check):
    """Slurm's commands are on the login node."""

    name, driver = "commands there", "ssh"

    def applies(self, site: Site) -> bool:
        return bool(site.config.ssh_host)

    def look(self, site: Site) -> Finding:
        return _commands_on(site.hosts.login, site.config)


class Controller(Check):
    """The controller answers the driver that the service would use."""

    name = "slurmctld"

    def look(self, site: Site) -> Finding:
        config = site.config
        total = site.driver.totals(config.slurm_partition)
        jobs = site.driver.jobs()
        partition = f"partition {config.slurm_partition}" if config.slurm_partition else "the default partition"
        gib = total.memory_mib // 1024
        size = f"{total.nodes} nodes, {total.cpus} cores, {gib} GiB in {partition}"
        return good(f"by {driver_name(site.driver)}: {size}; {len(jobs)} jobs of ours")


class Accounting(Check):
    """slurmdbd remembers jobs that slurmctld has forgotten."""

    name, needed = "accounting", False

    def look(self, site: Site) -> Finding:
        try:
            site.driver.history([1])
        except SlurmUnavailable as error:
            return fair(str(error), "while slurmdbd is away, jobs that slurmctld has forgotten are waited for")
        finished = _run(site.hosts.commands(), ["scontrol", "show", "config"])
        storage = re.search(r"^AccountingStorageType\s*=\s*(\S+)", finished, re.MULTILINE)
        flags = re.search(r"^AccountingStoreFlags\s*=\s*(\S+)", finished, re.MULTILINE)
        if storage and storage[1].rpartition("/")[2] in ("none", "(null)"):
            return fair("this site has none", "nothing: ends are taken from the jobs' own reports then")
        if flags and "job_comment" not in flags[1]:
            return fair("answers, and stores no comments", "ask for AccountingStoreFlags=job_comment in slurm.conf")
        return good("answers")


def driver_name(driver: SlurmDriver) -> str:
    """Return what the driver is called in the configuration, in a reader's words."""
    return "Slurm's commands" if isinstance(driver, CliDriver) else "pyslurm"


def _commands_on(host: Host, config: Config) -> Finding:
    missing, version = [], ""
    for program in commands(config):
        try:
            version = _run(host, [program, "--version"]).strip() or version
        except FileNotFoundError:
            missing.append(program)
    if missing:
        keys = ", ".join(f"{program.rpartition('/')[2].capitalize()}Path" for program in missing)
        return bad(f"no {', '.join(missing)}", f"install Slurm's client commands, or set {keys}")
    return good(version)


def _run(host: Host, argv: list[str]) -> str:
    """Return a command's output, empty where it failed. Raises OSError."""
    finished = host.run(argv, environment=fields.ENVIRONMENT, keep=fields.KEEP, timeout=_SECONDS)
    return finished.output if finished.status == 0 else ""
