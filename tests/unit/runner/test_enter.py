"""How commands get into containers: real namespaces where this host lets an ordinary user make them."""

import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

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
