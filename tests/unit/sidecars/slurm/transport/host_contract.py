"""What every way to a host keeps to: the same tests for this host and for an agent behind a command."""

import os
import time
from pathlib import Path

import pytest

from interlink.sidecars.slurm.accounts import HostAccounts
from interlink.sidecars.slurm.transport.host import Host

KEPT = {"PATH": "/usr/bin:/bin"}


def wait_until_over(pid: int) -> None:
    """Wait until the process is gone, or only its number is left."""
    deadline = time.monotonic() + 10
    while True:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)


class HostContract:
    """Files whole or not at all, nothing but regular files read, commands with a deadline."""

    def test_a_file_is_written_whole_and_private(self, host: Host, tmp_path: Path) -> None:
        host.make_folder(tmp_path / "a" / "b", parents=True)
        host.make_folder(tmp_path / "a" / "b")
        file = tmp_path / "a" / "b" / "f"
        for data in (b"\x00\xff" * 100_000, b"second"):
            host.write(file, data)
            assert host.read(file) == data
        assert file.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
        assert [entry[:2] for entry in host.entries(tmp_path / "a" / "b")] == [("f", False)]

    def test_only_regular_files_are_read(self, host: Host, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("/etc/passwd")
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "folder").mkdir()
        for name in ("link", "fifo", "folder", "missing"):
            assert host.read(tmp_path / name) is None
            assert host.open(tmp_path / name) is None
        (tmp_path / "large").write_bytes(b"x" * 11)
        assert host.read(tmp_path / "large", limit=10) is None

    def test_the_file_systems_words_come_back(self, host: Host, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*/none"):
            host.write(tmp_path / "none" / "f", b"")
        with pytest.raises(FileNotFoundError):
            host.entries(tmp_path / "none")
        with pytest.raises(OSError, match="File name too long"):
            host.read(tmp_path / ("x" * 300))

    def test_a_folder_is_gathered_at_once(self, host: Host, tmp_path: Path) -> None:
        for name, data in {"1.json": "one", "2.json": "", "3.txt": "other", ".4.json": "half"}.items():
            (tmp_path / name).write_text(data)
        (tmp_path / "bad").mkdir()
        os.mkfifo(tmp_path / "5.json")
        (tmp_path / "6\n.json").write_text("odd")
        name = os.fsdecode(b"7\xff.json")
        (tmp_path / name).write_text("odder")
        found = host.gather(tmp_path, r"[0-9]\.json", skip=["bad"], most=100)
        assert [(file.name, file.data) for file in found] == [
            ("1.json", b"one"), ("2.json", b""), ("3.txt", None), ("5.json", None), ("6\n.json", None), (name, None),
        ]  # fmt: skip
        assert [file.name for file in host.gather(tmp_path, "", most=2)] == ["1.json", "2.json"]
        assert [file.name for file in host.gather(tmp_path, "", after="2.json", most=2)] == ["3.txt", "5.json"]
        host.rename(tmp_path / name, tmp_path / "bad" / name)
        host.rename(tmp_path / "none", tmp_path / "bad" / "none")
        host.remove(tmp_path, ["1.json", "none"])
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            ".4.json",
            "2.json",
            "3.txt",
            "5.json",
            "6\n.json",
            "bad",
        ]
        assert list((tmp_path / "bad").iterdir()) == [tmp_path / "bad" / name]

    def test_a_file_that_grows_is_read_on(self, host: Host, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_text("one\ntwo\n")
        file = host.open(path)
        assert file is not None
        with file:
            assert file.seek(0, os.SEEK_END) == 8
            file.seek(4)
            assert (file.read(100), file.read(100)) == (b"two\n", b"")
            with path.open("a") as writer:
                writer.write("three\n")
            path.rename(tmp_path / "rotated")
            assert file.read(100) == b"three\n"

    def test_a_tree_goes_whole_even_where_it_was_made_read_only(self, host: Host, tmp_path: Path) -> None:
        (tmp_path / "job" / "volume").mkdir(parents=True)
        (tmp_path / "job" / "volume" / "f").touch()
        (tmp_path / "kept").mkdir()
        (tmp_path / "job" / "link").symlink_to(tmp_path / "kept")
        (tmp_path / "job" / "volume").chmod(0o500)
        assert host.exists(tmp_path / "job")
        host.remove_tree(tmp_path / "job")
        host.remove_tree(tmp_path / "job")
        assert not host.exists(tmp_path / "job")
        assert (tmp_path / "kept").is_dir()

    def test_a_folder_of_ones_own_is_not_a_strangers(self, host: Host, tmp_path: Path) -> None:
        host.make_shared_folder(tmp_path / "users")
        assert (tmp_path / "users").stat().st_mode & 0o7777 == 0o1733
        host.own_folder(tmp_path / "users" / "me")
        host.own_folder(tmp_path / "users" / "me")
        (tmp_path / "users" / "other").symlink_to(tmp_path)
        with pytest.raises(PermissionError, match="not this user's own"):
            host.own_folder(tmp_path / "users" / "other")

    def test_a_command_gets_its_words_its_input_and_no_other_environment(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd = "a b'c\"$(id)\n;*"
        script = 'printf "%s|" "$@"; cat; env >&2; exit 3'
        done = host.run(
            ["sh", "-c", script, "sh", odd, ""], environment=KEPT | {"ODD": odd}, keep=["HOME"], stdin="in", timeout=10
        )
        assert (done.status, done.output) == (3, f"{odd}||in")
        names = {line.split("=", 1)[0] for line in done.errors.splitlines() if "=" in line}
        assert names - {"PWD", "SHLVL", "_", "LC_CTYPE"} == {"PATH", "ODD", "HOME"}

    def test_a_command_that_hangs_is_killed_with_its_children(self, host: Host, tmp_path: Path) -> None:
        began = time.monotonic()
        script = f"sleep 100 & echo $! > {tmp_path}/pid; echo started; wait"
        done = host.run(["sh", "-c", script], environment=KEPT, timeout=0.5)
        assert (done.status, done.output) == (None, "started\n")
        assert time.monotonic() - began < 5
        wait_until_over(int((tmp_path / "pid").read_text()))

    def test_a_command_that_is_not_there_is_a_missing_file(self, host: Host) -> None:
        with pytest.raises(FileNotFoundError, match="no-such-command"):
            host.run(["no-such-command"], environment=KEPT, timeout=5)

    def test_it_says_whose_it_is_and_who_else_there_is(self, host: Host) -> None:
        assert host.user_id() == os.getuid()
        accounts = HostAccounts(host)
        assert accounts.own().uid == os.getuid()
        root = accounts.by_name("root")
        assert root is not None
        assert (root.uid, root == accounts.by_uid(0), 0 in root.groups) == (0, True, True)
        assert accounts.by_name("no-such-user") is accounts.by_uid(2**40) is None
