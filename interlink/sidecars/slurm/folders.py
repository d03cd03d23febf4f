"""Every path of the sidecar below DataRootFolder, which the compute nodes share, and the few writes that go there.

Called by all of ``slurm``. Invariant: no path is built from a UID or a container's name that was not checked, and what
lies at a final name is whole (write, fsync, rename).
"""

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from interlink.core.plan import BATCH_LOG, LOGS_FOLDER, PLAN_FILE

POD_FILE = "pod.json"
CLAIM_FILE = "claim"
#: The seconds that a deleted pod has to end: the runner reads them on SIGTERM.
GRACE_FILE = "grace"
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_MAX_READ = 1024**2
#: What opening says of a name that is not there, or is no regular file. Everything else is the file system's trouble.
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV}


class JobFolders:
    """The layout: ``jobs/<uid>/``, ``spool/``, ``images/``, ``runner/``. All of it belongs to our user alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs = root / "jobs"
        self.spool = root / "spool"
        self.bad_spool = root / "spool" / "bad"
        self.images = root / "images"
        self.runners = root / "runner"

    def prepare(self) -> None:
        """Create what is missing. Raises OSError."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.jobs, self.spool, self.bad_spool, self.images, self.runners):
            folder.mkdir(mode=0o700, exist_ok=True)

    def install_runner(self, bundle: bytes) -> Path:
        """Put the pod runner where jobs find it, under a name of its contents: running jobs keep the one they began."""
        path = self.runners / f"pod_runner-{hashlib.sha256(bundle).hexdigest()[:16]}.pyz"
        if not path.exists():
            write_whole(path, bundle, 0o600)
        return path

    def job(self, uid: str) -> Path:
        """Return the folder of a pod's job. Raises ValueError for what is no UID."""
        if not is_uid(uid):
            raise ValueError(f"{uid[:80]!r} is no lower-case UUID")
        return self.jobs / uid

    def plan(self, uid: str) -> Path:
        """Return the path of the runner's plan."""
        return self.job(uid) / PLAN_FILE

    def batch_log(self, uid: str) -> Path:
        """Return the path of the batch script's own output."""
        return self.job(uid) / BATCH_LOG

    def log(self, uid: str, container: str, *, previous: bool = False) -> Path:
        """Return the path of a container's log. Raises ValueError for what is no container's name."""
        if not _LABEL.fullmatch(container):
            raise ValueError(f"{container[:80]!r} is no DNS label")
        return self.job(uid) / LOGS_FOLDER / f"{container}.log{'.previous' if previous else ''}"

    def write_job(self, uid: str, plan: bytes, pod: bytes) -> None:
        """Create the job's folder with its two documents. Raises OSError."""
        folder = self.job(uid)
        folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(folder / POD_FILE, pod, 0o600, sync=False)  # only read where the database is lost
        write_whole(folder / PLAN_FILE, plan, 0o600)

    def read(self, uid: str, name: str) -> bytes | None:
        """Return one of the job's small files, None where it is not there or is none. Raises OSError."""
        return read_small(self.job(uid) / name)

    def claimed_by(self, uid: str) -> int | None:
        """Return the id of the job that runs, or ran, the pod: it wrote it down before it started anything.

        Raises OSError.
        """
        text = (self.read(uid, CLAIM_FILE) or b"").split(b"\n", 1)[0].strip()
        return int(text) if text.isdigit() else None

    def write_grace(self, uid: str, seconds: int) -> None:
        """Tell the pod's runner how long it has, before it is asked to end. Raises OSError."""
        write_whole(self.job(uid) / GRACE_FILE, f"{seconds}\n".encode(), 0o600, sync=False)

    def uids(self) -> Iterator[str]:
        """Yield the UID of every job folder."""
        with os.scandir(self.jobs) as entries:
            yield from (entry.name for entry in entries if is_uid(entry.name) and entry.is_dir(follow_symlinks=False))

    def remove_job(self, uid: str) -> None:
        """Remove the job's folder with all in it; nothing there is no error. Raises OSError."""
        folder = self.job(uid)
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except PermissionError:  # a container made a folder of its volume read-only
            for path, _, _ in os.walk(folder):
                os.chmod(path, 0o700, follow_symlinks=True)  # noqa: PTH101 - walked without following links
            shutil.rmtree(folder)


def is_uid(text: str) -> bool:
    """Whether the text is a pod's UID, and so can name a folder."""
    return _UID.fullmatch(text) is not None


def write_whole(path: Path, data: bytes, mode: int, *, sync: bool = True) -> None:
    """Write the file so that its name never shows half of it; with ``sync`` not after a power cut either.

    Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def open_regular(path: Path) -> BinaryIO | None:
    """Open a regular file to read; None where it is missing, a link or anything else (a FIFO would hang us).

    Raises OSError where the file system, or our own limits, are in the way.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


def read_small(path: Path, limit: int = _MAX_READ) -> bytes | None:
    """Return a regular file's bytes; None where it is none or larger than the limit. Raises OSError."""
    file = open_regular(path)
    if file is None:
        return None
    with file:
        data = file.read(limit + 1)
    return data if len(data) <= limit else None
