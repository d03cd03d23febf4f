"""How commands get into containers: real namespaces where this host lets an ordinary user make them."""

import errno
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from interlink.runner import enter
from interlink.runner.actions import start
from interlink.runner.enter import entry, environment_of, process_inside
from interlink.runner.files import RunnerError
from interlink.runner.guard import Guard
from interlink.runner.handlers import Outcome
from interlink.runner.processes import below, running

MAKE = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
#: Makes a container as runtimes do: a root of its own in namespaces of its own, first by a program of the host.
CONTAINER = """
set -e
mount -t tmpfs none {root}
mkdir {root}/proc {root}/work
for name in usr bin lib lib64; do
    if [ -L /$name ]; then cp -P /$name {root}/
    elif [ -d /$name ]; then mkdir {root}/$name; mount --rbind /$name {root}/$name; fi
done
mount -t proc none {root}/proc
echo there > {root}/mark
cd {root}/work
echo 'cd /work; sleep 60 & echo up; read x' > {root}/command
exec chroot {root} /bin/sh /command
"""
unshared = pytest.mark.skipif(
    subprocess.run([*MAKE, "mount", "-t", "proc", "none", "/proc"], check=False, capture_output=True).returncode != 0,
    reason="this host lets nobody make namespaces",
)


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def container(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    script = CONTAINER.format(root=tmp_path)
    process = subprocess.Popen(
        [*MAKE, "sh", "-c", script],
        env={"PATH": os.environ["PATH"], "ODD": 'a "b"\n$(c)'}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.communicate()


def run(process: subprocess.Popen[str], guard: Guard, *argv: str, values: dict[str, str] | None = None) -> Outcome:
    """Run a command inside, as a probe does."""
    handler = {"kind": "exec", "command": list(argv)}
    action = start(handler, time.monotonic(), 5, lambda words: entry(process.pid, words, values), guard)
    while (outcome := action.poll(time.monotonic())) is None:
        select.select([action.fd] if action.fd >= 0 else [], [], [], 0.02)
    return outcome


@unshared
def test_a_command_sees_the_containers_own_files_processes_folder_and_variables(
    container: subprocess.Popen[str], guard: Guard
) -> None:
    seen = run(container, guard, "/bin/sh", "-c", 'read m < /mark; echo "$m $PWD $$ $ODD"; [ -e /etc ] || echo no host')
    assert seen.success
    place, more = seen.message.split(" ", 3)[:3], seen.message.split(" ", 3)[3]
    assert place[:2] == ["there", "/work"]
    assert int(place[2]) < 100  # process ids of its own
    assert more == 'a "b"\n$(c)\nno host'


@unshared
def test_the_values_that_the_pod_gave_count_over_what_the_first_process_has(
    container: subprocess.Popen[str], guard: Guard
) -> None:
    assert run(container, guard, "/bin/sh", "-c", 'echo "$ODD"', values={"ODD": "pod's"}) == Outcome(True, "pod's")


@unshared
def test_a_command_has_the_containers_share_of_the_jobs_cpus(container: subprocess.Popen[str], guard: Guard) -> None:
    last = max(os.sched_getaffinity(0))
    for pid in below([container.pid], running()):
        os.sched_setaffinity(pid, {last})
    script = 'while read a b; do [ "$a" = Cpus_allowed_list: ] && echo $b; done < /proc/self/status'
    assert run(container, guard, "/bin/sh", "-c", script).message == str(last)


@unshared
def test_nothing_that_is_entered_may_become_somebody_else(container: subprocess.Popen[str], guard: Guard) -> None:
    script = 'while read a b; do [ "$a" = NoNewPrivs: ] && echo $b; done < /proc/self/status'
    assert "1" in run(container, guard, "/bin/sh", "-c", script).message


@unshared
def test_a_program_that_only_the_host_has_is_not_found(
    container: subprocess.Popen[str], guard: Guard, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.symlink_to("/bin/true")
    found = run(container, guard, str(program))
    assert found == Outcome(False, f"{program}: no such file in the container")


@unshared
def test_a_runtimes_own_program_inside_is_not_the_containers(
    container: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert process_inside(container.pid) is not None
    monkeypatch.setattr(enter, "_BEFORE_THE_COMMAND", b"/command")
    assert process_inside(container.pid) is None


class Recorded(NamedTuple):
    """One process as /proc had it: ``root`` and ``exe`` are files of the host's or the container's, or closed."""

    pid: int
    parent: int
    words: str
    space: str = "mnt:[1]"
    root: str = "host"
    exe: str = "host"


#: ``closed``: the container's file system is FUSE's, mounted in its own user namespace, so that stat(2) is EACCES.
TREES = {
    "apptainer 1.4.5: the interpreter of its scripts runs ln for ours, then becomes the command": (
        None,
        [
            Recorded(10, 1, "apptainer exec image sleep 9"),
            Recorded(11, 10, "Apptainer runtime parent", "mnt:[2]"),
            Recorded(12, 11, "Apptainer runtime parent", "mnt:[2]", "inside"),
            Recorded(13, 12, "/bin/ln -s /.interlink-link /dev/termination-log", "mnt:[2]", "inside", "inside"),
        ],
    ),
    "Singularity 3: a shell of the container's runs its scripts": (
        None,
        [
            Recorded(10, 1, "singularity exec image sleep 9"),
            Recorded(11, 10, "/bin/sh /.singularity.d/actions/exec sleep 9", "mnt:[2]", "inside", "inside"),
            Recorded(12, 11, "cat /etc/profile", "mnt:[2]", "inside", "inside"),
        ],
    ),
    "Charliecloud 0.45, squashfs: ch-run is the file system, in the outer of two namespaces": (
        217,
        [
            Recorded(10, 1, "ch-run (FUSE helper)", "mnt:[2]", "inside"),
            Recorded(217, 10, "/bin/sleep 5", "mnt:[3]", "inside", "inside"),
        ],
    ),
    "Charliecloud 0.45: before the command ch-run itself is inside": (
        None,
        [
            Recorded(10, 1, "ch-run (FUSE helper)", "mnt:[2]", "inside"),
            Recorded(217, 10, "ch-run image -- /bin/sleep 5", "mnt:[3]", "inside"),
        ],
    ),
    "Charliecloud, a folder as image: ch-run becomes the command": (
        10,
        [Recorded(10, 1, "/bin/sleep 5", "mnt:[3]", "inside", "inside")],
    ),
    "enroot: its scripts become the command, on fuse-overlayfs": (
        10,
        [
            Recorded(10, 1, "sleep 9", "mnt:[2]", "closed", "closed"),
            Recorded(11, 10, "fuse-overlayfs -f -o lowerdir=…", "mnt:[2]"),
        ],
    ),
    "enroot: its own scripts, before the container's root": (
        None,
        [Recorded(10, 1, "bash /usr/bin/enroot start image", "mnt:[2]"), Recorded(11, 10, "squashfuse -f", "mnt:[2]")],
    ),
    "podman 5.8 and crun 1: the process of the pid file": (
        10,
        [Recorded(10, 454, "sleep 30", "mnt:[2]", "closed", "closed")],
    ),
    "podman 5.8 and crun 1: before the command crun is inside, as a copy that has no name": (
        None,
        [Recorded(10, 454, "/usr/bin/crun create --bundle …", "mnt:[2]", "closed", "copy")],
    ),
    "podman: the command is a program of a volume": (
        10,
        [Recorded(10, 454, "/data/program", "mnt:[2]", "closed", "volume")],
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_the_containers_process_is_found_in_the_processes_of_every_runtime(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, processes = TREES[name]
    proc = _recorded_proc(tmp_path, processes)
    ours, stat = (tmp_path / "host").stat(), os.stat
    volumes = [f"{proc}/{each.pid}/exe" for each in processes if each.exe == "volume"]

    def as_of_fuse(path: Any, **fields: Any) -> os.stat_result:
        if any(f"{proc}/{each.pid}/{part}" in str(path) for each in processes for part in _closed(each)):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return ours if path in ("/", *volumes) else stat(path, **fields)

    monkeypatch.setattr(enter, "PROC", str(proc))
    monkeypatch.setattr(os, "stat", as_of_fuse)
    assert process_inside(10) == expected


def _closed(process: Recorded) -> list[str]:
    return [part for part in ("root", "exe") if getattr(process, part) == "closed"]


def _recorded_proc(folder: Path, processes: list[Recorded]) -> Path:
    """Write a /proc of these processes, and the files that they run."""
    proc, host, inside = folder / "proc", folder / "host", folder / "inside"
    programs = {"host": host / "program", "inside": inside / "program", "closed": inside / "program",
                "copy": Path("/"), "volume": folder / "what only the container has there"}  # fmt: skip
    for program in (programs["host"], programs["inside"]):
        program.parent.mkdir()
        program.touch()
    for each in [Recorded(1, 0, "runner"), *processes]:
        own = proc / str(each.pid)
        (own / "ns").mkdir(parents=True)
        (own / "ns" / "mnt").symlink_to(each.space)
        (own / "stat").write_text(f"{each.pid} (name) S {each.parent} 0 0")
        (own / "cmdline").write_bytes(each.words.replace(" ", "\0").encode() + b"\0")
        (own / "root").symlink_to(host if each.root == "host" else inside)
        (own / "exe").symlink_to(programs[each.exe])
    (proc / "self").symlink_to("1")
    return proc


def test_a_container_that_its_runtime_has_not_told_of_cannot_be_entered() -> None:
    with pytest.raises(RunnerError, match="no process to join"):
        entry(None, ["true"])


def test_a_process_without_a_container_below_it_cannot_be_entered() -> None:
    with pytest.raises(RunnerError, match="no process to join"):
        entry(os.getpid(), ["true"])


def test_without_user_namespaces_the_error_names_what_the_administrator_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enter, "process_inside", lambda _pid: os.getpid())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RunnerError, match="--userns to SingularityDefaultOptions"):
        entry(1, ["true"])


def test_the_environment_of_a_process_that_is_gone_is_an_error() -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    with pytest.raises(RunnerError, match="has ended"):
        environment_of(gone.pid)
