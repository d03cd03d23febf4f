"""SlurmDriver of the configuration → the driver and the ways to the site.

Called by ``backend`` and ``interlink doctor``. Invariants: what was asked for by name is not replaced by something
else in silence; ``auto`` says what it chose; a driver that cannot serve the site's users is no pod's surprise.
"""

import logging
from collections.abc import Callable, Collection

from interlink.config import Config, ConfigError
from interlink.config.jobs import job_rules
from interlink.sidecars.slurm.accounts import HostAccounts
from interlink.sidecars.slurm.driver import SlurmDriver, SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli.driver import CliDriver, Programs
from interlink.sidecars.slurm.drivers.pair import DriverPair
from interlink.sidecars.slurm.drivers.pyslurm_process import PyslurmDriver
from interlink.sidecars.slurm.transport.hosts import SiteHosts, Ways
from interlink.sidecars.slurm.transport.ssh import SshTarget

log = logging.getLogger(__name__)
CHOICES = ("auto", "pyslurm", "cli", "ssh")


def site_hosts(config: Config) -> SiteHosts:
    """Return the ways to the site's files and commands. Raises ConfigError."""
    if config.slurm_driver not in CHOICES:
        raise ConfigError(f"SlurmDriver: {config.slurm_driver!r} is none of {', '.join(CHOICES)}")
    over_ssh = config.slurm_driver == "ssh"
    if over_ssh and not config.ssh_host:
        raise ConfigError("SlurmDriver: ssh needs SshHost, the login node's name")
    target = SshTarget(
        host=config.ssh_host,
        user=config.ssh_user,
        port=config.ssh_port,
        key_file=config.ssh_key_file,
        known_hosts=config.ssh_known_hosts_file,
        options=tuple(config.ssh_options),
    )
    return SiteHosts(
        Ways(
            login_node=target if config.ssh_host else None,
            ssh_commands=over_ssh,
            ssh_files=over_ssh and config.ssh_files,
            user_command=tuple(config.slurm_user_command),
            python=config.python_path,
        )
    )


def choose_driver(config: Config, hosts: SiteHosts, users: Callable[[], Collection[str]] = tuple) -> SlurmDriver:
    """Return the driver that the configuration names; ``auto``: pyslurm where it serves, else Slurm's commands.

    Raises ConfigError for pyslurm where jobs may be other users'.
    """
    if config.slurm_driver in ("auto", "pyslurm"):
        why = of_others(config, hosts)
        if why and config.slurm_driver == "pyslurm":
            raise ConfigError(f"SlurmDriver: {why}; set it to cli, or to auto, which takes cli then (docs/identity.md)")
        looking, acting = (PyslurmDriver(config.slurm_call_timeout, users=users) for _ in range(2))
        if config.slurm_driver == "pyslurm":
            return DriverPair(looking, acting)
        why = why or _why_not(looking)
        if not why:
            log.info("SlurmDriver auto: pyslurm answers")
            return DriverPair(looking, acting)
        log.info("SlurmDriver auto: Slurm's commands, because pyslurm does not serve here: %s", why)
    programs = Programs(
        sbatch=config.sbatch_path,
        squeue=config.squeue_path,
        sacct=config.sacct_path,
        scancel=config.scancel_path,
        sinfo=config.sinfo_path,
    )
    return CliDriver(hosts.commands, programs=programs, call_timeout=config.slurm_call_timeout, users=users)


def of_others(config: Config, hosts: SiteHosts) -> str:
    """Return why pyslurm cannot serve the site's users, "" where all jobs are our own. Raises ConfigError."""
    others = job_rules(config).other_users(HostAccounts(hosts.local).own())
    if not others:
        return ""
    return f"pyslurm submits for the service's own user only, and the configuration has {', '.join(others)}"


def _why_not(driver: PyslurmDriver) -> str:
    """Return why pyslurm cannot be used, "" where it answers; a controller that is away says nothing against it."""
    try:
        driver.start()
    except (SlurmUnavailable, SlurmRefused) as error:
        driver.close()
        return str(error)
    return ""
