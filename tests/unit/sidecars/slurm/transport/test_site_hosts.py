"""Which way leads where: as the configuration says, and another user only by the administrator's command."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interlink.config import Config, ConfigError
from interlink.sidecars.slurm.drivers.choice import site_hosts
from interlink.sidecars.slurm.folders import JobFolders
from interlink.sidecars.slurm.transport.host import Host, HostUnavailable, LocalHost
from interlink.sidecars.slurm.transport.hosts import SiteHosts, Ways
from interlink.sidecars.slurm.transport.remote import RemoteHost
from interlink.sidecars.slurm.transport.ssh import SshTarget

UID = "0a0b0c0d-0000-4000-8000-000000000001"
ENV = ("env", "ITS_USER={user}")


def words(host: Host) -> list[str]:
    assert isinstance(host, RemoteHost)
    return list(host._command())


def test_without_ssh_everything_is_here_and_another_user_behind_the_command() -> None:
    hosts = SiteHosts(Ways(user_command=("sudo", "-n", "-u", "{user}", "--")))
    assert hosts.files() is hosts.commands() is hosts.local
    assert words(hosts.files("alice"))[:6] == ["sudo", "-n", "-u", "alice", "--", sys.executable]
    assert hosts.files("alice") is hosts.commands("alice")
    hosts.close()


def test_with_ssh_commands_are_there_and_files_where_the_configuration_says() -> None:
    target = SshTarget(host="login", user="svc")
    for ssh_files in (True, False):
        hosts = SiteHosts(
            Ways(login_node=target, ssh_commands=True, ssh_files=ssh_files, user_command=("sudo", "-u", "{user}"))
        )
        assert words(hosts.commands())[-2] == "login"
        assert "-l svc" in " ".join(words(hosts.commands()))
        assert (hosts.files() is hosts.commands()) == ssh_files
        assert isinstance(hosts.files(), RemoteHost) == ssh_files
        assert words(hosts.commands("alice"))[-1].startswith("sudo -u alice /usr/bin/python3 -I -c ")
        hosts.close()


def test_without_a_command_for_it_another_user_logs_in() -> None:
    hosts = SiteHosts(Ways(login_node=SshTarget(host="login", user="svc"), ssh_commands=True, ssh_files=True))
    assert "-l alice" in " ".join(words(hosts.commands("alice")))
    assert "-l svc" in " ".join(words(hosts.commands()))
    hosts.close()


@pytest.mark.parametrize(
    ("config", "told"),
    [(Config(slurm_driver="fast"), "none of auto, pyslurm, cli, ssh"), (Config(slurm_driver="ssh"), "needs SshHost")],
)
def test_a_choice_that_cannot_be_is_told(config: Config, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        site_hosts(config)


@pytest.fixture
def of_users(tmp_path: Path) -> Callable[[dict[str, str]], JobFolders]:
    def make(owners: dict[str, str]) -> JobFolders:
        folders = JobFolders(tmp_path / "root", host_of=lambda _: LocalHost(), owner=lambda uid: owners.get(uid, ""))
        folders.prepare()
        folders.install_runner(b"runner")
        return folders

    return make


def test_a_pods_folder_is_its_owners(of_users: Callable[[dict[str, str]], JobFolders], tmp_path: Path) -> None:
    folders = of_users({UID: "alice"})
    assert not (tmp_path / "root" / "users").exists()
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o700
    folders.write_job(UID, b"plan")
    home = tmp_path / "root" / "users" / "alice"
    assert (home / "jobs" / UID / "plan.json").read_bytes() == b"plan"
    assert folders.of("alice").runner.read_bytes() == b"runner"
    assert home.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o711
    assert folders.users() == ["alice"]
    assert list(folders.uids()) == []
    assert [list(each.uids()) for each in folders.all(["alice"])] == [[], [UID]]
    folders.remove_job(UID)
    assert not folders.has_job(UID)


def test_our_root_is_opened_for_nobody_who_cannot_be_become(tmp_path: Path) -> None:
    closed = RemoteHost("alice", lambda: ("sh", "-c", "echo 'sudo: a password is required' >&2; exit 1"))
    folders = JobFolders(tmp_path / "root", host_of=lambda _: closed)
    folders.prepare()
    (tmp_path / "root" / "users").mkdir(mode=0o1733)  # of a time when that was allowed
    with pytest.raises(HostUnavailable, match="a password is required"):
        folders.of("alice")
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o700
    closed.close()


@pytest.mark.parametrize("user", ["..", "a/b", "-u", "a b", "a\n", "x" * 70, "ünal"])
def test_a_user_who_is_no_login_name_names_no_folder(
    of_users: Callable[[dict[str, str]], JobFolders], user: str
) -> None:
    with pytest.raises(PermissionError, match="no user"):
        of_users({}).of(user)


def test_a_folder_that_a_stranger_made_first_is_not_used(
    of_users: Callable[[dict[str, str]], JobFolders], tmp_path: Path
) -> None:
    folders = of_users({})
    (tmp_path / "root" / "users").mkdir()
    (tmp_path / "root" / "users" / "alice").symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="own folder"):
        folders.of("alice")
