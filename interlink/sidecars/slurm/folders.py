"""Every path of the sidecar below DataRootFolder, which the compute nodes share, and the few writes that go there.

Called by all of ``slurm``; the files are where ``transport.Host`` has them. Invariant: no path is built from a UID, a
user's or a container's name that was not checked, and what lies at a final name is whole (write, rename, fsync).
"""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from interlink.core.plan import LOGS_FOLDER, PLAN_FILE, UPDATE_FILE
from interlink.http.server import MAX_REQUEST_BYTES
from interlink.sidecars.slurm.transport.host import Host, LocalHost

CLAIM_FILE = "claim"
#: The seconds that a deleted pod has to end: the runner reads them on SIGTERM.
GRACE_FILE = "grace"
#: Where each user of the site who owns jobs has a root of the same layout, as in /tmp: anyone may make their own.
USERS_FOLDER = "users"
#: Twice the largest request, whose ConfigMaps and Secrets are in base64 here.
_LARGEST_PLAN = 2 * MAX_REQUEST_BYTES
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
#: A login name as useradd and directories have it; never a path, never an option.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\$?")


class JobFolders:
    """One user's root: ``jobs/<uid>/``, ``spool/``, ``images/``, ``runner/``; all of it belongs to that user alone.

    The service's own root knows those of the others (``of``), and finds each pod in its owner's.
    """

    def __init__(
        self,
        root: Path,
        host: Host | None = None,
        *,
        host_of: Callable[[str], Host] | None = None,
        owner: Callable[[str], str] = lambda _: "",
    ) -> None:
        """``host_of`` gives the way to another user's files, ``owner`` the user of a pod; "" is our own."""
        self.root = root
        self.host: Host = host or LocalHost()
        self.jobs = root / "jobs"
        self.spool = root / "spool"
        self.bad_spool = root / "spool" / "bad"
        self.images = root / "images"
        self.runners = root / "runner"
        #: The pod runner, once it is installed.
        self.runner = self.runners / "pod_runner.pyz"
        self._host_of = host_of
        self._owner = owner
        self._others: dict[str, JobFolders] = {}
        self._lock = threading.Lock()
        self._bundle = b""

    def prepare(self) -> None:
        """Create what is missing. Raises OSError."""
        self.host.make_folder(self.root, parents=True)
        self._prepare_layout()

    def install_runner(self, bundle: bytes) -> Path:
        """Put the pod runner where jobs find it, under a name of its contents: running jobs keep the one they began."""
        self._bundle = bundle
        self.runner = self.runners / f"pod_runner-{hashlib.sha256(bundle).hexdigest()[:16]}.pyz"
        if self.host.read(self.runner, len(bundle)) != bundle:  # a power cut may have left an empty one
            self.host.write(self.runner, bundle)
        return self.runner

    def of(self, user: str) -> "JobFolders":
        """Return the root of a user, prepared; "" is our own. Raises OSError."""
        if not user:
            return self
        if self._host_of is None or not _USER.fullmatch(user):
            raise PermissionError(f"{user[:80]!r} is no user that jobs may belong to on this site")
        with self._lock:
            other = self._others.get(user)
            if other is None:
                other = JobFolders(self.root / USERS_FOLDER / user, self._host_of(user))
                other.host.user_id()  # our own root is opened for nobody who cannot be become
                self.host.make_shared_folder(self.root / USERS_FOLDER)
                other.host.own_folder(other.root)
                other._prepare_layout()
                other.install_runner(self._bundle)
                self._others[user] = other
            return other

    def users(self) -> list[str]:
        """Return the users who have a root here. Raises OSError."""
        if self._host_of is None or not self.host.exists(self.root / USERS_FOLDER):
            return []
        entries = self.host.entries(self.root / USERS_FOLDER)
        return [entry.name for entry in entries if entry.is_folder and _USER.fullmatch(entry.name)]

    def as_found(self) -> Iterator[tuple[str, "JobFolders"]]:
        """Yield each user's root by name, our own ("") first; nothing is prepared in them. Raises OSError."""
        yield "", self
        for user in self.users():
            assert self._host_of is not None  # noqa: S101 - else there are no users
            yield user, JobFolders(self.root / USERS_FOLDER / user, self._host_of(user))

    def all(self, users: Collection[str]) -> Iterator["JobFolders"]:
        """Yield our own root and those of the users. Raises OSError where one cannot be had now."""
        yield self
        for user in users:
            if user:
                yield self.of(user)

    def job(self, uid: str) -> Path:
        """Return the folder of a pod's job. Raises ValueError for what is no UID."""
        return self._at(uid).jobs / uid

    def has_job(self, uid: str) -> bool:
        """Whether the pod has a folder. Raises OSError."""
        home = self._at(uid)
        return home.host.exists(home.jobs / uid)

    def plan(self, uid: str) -> Path:
        """Return the path of the runner's plan."""
        return self.job(uid) / PLAN_FILE

    def log(self, uid: str, container: str, *, previous: bool = False, number: int = 0) -> Path:
        """Return the path of a container's log, the so many-th file of a run. Raises ValueError for no container."""
        if not _LABEL.fullmatch(container):
            raise ValueError(f"{container[:80]!r} is no DNS label")
        run = f"{container}.log{'.previous' if previous else ''}"
        return self.job(uid) / LOGS_FOLDER / (f"{run}.{number}" if number else run)

    def log_numbers(self, uid: str, container: str, *, previous: bool = False) -> list[int]:
        """Return the numbers of a run's log files, oldest first. Raises OSError, ValueError for no container."""
        first = self.log(uid, container, previous=previous)
        try:
            names = [entry.name for entry in self._at(uid).host.entries(first.parent) if not entry.is_folder]
        except FileNotFoundError:
            return []
        rests = [name.removeprefix(first.name + ".") for name in names if name.startswith(first.name + ".")]
        return sorted([0] * (first.name in names) + [int(rest) for rest in rests if rest.isascii() and rest.isdigit()])

    def open_log(self, uid: str, container: str, *, previous: bool = False, number: int = 0) -> BinaryIO | None:
        """Open a file of a container's log to read, as it grows; None where there is none. Raises OSError."""
        return self._at(uid).host.open(self.log(uid, container, previous=previous, number=number))

    def write_job(self, uid: str, plan: bytes) -> None:
        """Create the job's folder with its plan. Raises OSError."""
        home = self._at(uid)
        folder = home.jobs / uid
        home.host.make_folder(folder)
        home.host.write(folder / PLAN_FILE, plan)

    def read_plan(self, uid: str) -> bytes | None:
        """Return the job's plan, with all the files of its volumes; None where there is none. Raises OSError."""
        return self._at(uid).host.read(self.plan(uid), _LARGEST_PLAN)

    def write_update(self, uid: str, update: bytes) -> None:
        """Leave what has changed of the pod for its runner. Raises OSError."""
        self._at(uid).host.write(self.job(uid) / UPDATE_FILE, update, sync=False)

    def read(self, uid: str, name: str) -> bytes | None:
        """Return one of the job's small files, None where it is not there or is none. Raises OSError."""
        return self._at(uid).host.read(self.job(uid) / name)

    def read_end(self, uid: str, name: str, most: int = 64 * 1024) -> bytes:
        """Return the last bytes of one of the job's files, none where it is not there. Raises OSError."""
        file = self._at(uid).host.open(self.job(uid) / name)
        if file is None:
            return b""
        with file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most)

    def claimed_by(self, uid: str) -> int | None:
        """Return the id of the job that runs, or ran, the pod: it wrote it down before it started anything.

        Raises OSError.
        """
        text = (self.read(uid, CLAIM_FILE) or b"").split(b"\n", 1)[0].strip()
        return int(text) if text.isdigit() else None

    def write_grace(self, uid: str, seconds: int) -> None:
        """Tell the pod's runner how long it has, before it is asked to end. Raises OSError."""
        self._at(uid).host.write(self.job(uid) / GRACE_FILE, f"{seconds}\n".encode(), sync=False)

    def uids(self) -> Iterator[str]:
        """Yield the UID of every job folder of this root. Raises OSError."""
        yield from (entry.name for entry in self.host.entries(self.jobs) if entry.is_folder and is_uid(entry.name))

    def remove_job(self, uid: str) -> None:
        """Remove the job's folder with all in it; nothing there is no error. Raises OSError."""
        self._at(uid).host.remove_tree(self.job(uid))

    def _at(self, uid: str) -> "JobFolders":
        """Return the root that the pod's folder is in. Raises OSError, ValueError."""
        if not is_uid(uid):
            raise ValueError(f"{uid[:80]!r} is no lower-case UUID")
        return self.of(self._owner(uid))

    def _prepare_layout(self) -> None:
        for folder in (self.jobs, self.spool, self.bad_spool, self.images, self.runners):
            self.host.make_folder(folder)


def is_uid(text: str) -> bool:
    """Whether the text is a pod's UID, and so can name a folder."""
    return _UID.fullmatch(text) is not None
