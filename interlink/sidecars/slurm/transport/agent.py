"""The few file operations and the commands of the sidecar, carried out where they are to happen.

Imported by ``host.LocalHost`` for this host and our own user; sent as text by ``channel`` to a Python (3.6 or newer,
the standard library only) of another host or user, where ``serve`` answers frames until its input ends. So both ways
run the same code. A frame is two lengths (header, body; 4 bytes each), a JSON header and a raw body.
Invariant: every operation raises OSError for what the file system says, and nothing outlives the agent.
"""

import bisect
import errno
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
from typing import Any, BinaryIO, Dict, List, Mapping, Optional, Set, Tuple

MAGIC = b"\0interlink-agent 1\n"
Answer = Tuple[Any, bytes]
LENGTHS = struct.Struct(">II")
#: What opening says of a name that is not there, or is no regular file. Everything else is the file system's trouble.
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV)
#: Logs that are read at once: more would eat up the descriptors that reports and commands need.
_MOST_OPEN = 512


class Agent:
    """Carries out operations; thread-safe. Each takes its arguments by name and a body, and returns a value, a body."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: Dict[int, int] = {}
        self._next = 0
        self._groups: Set[int] = set()

    def perform(self, operation: str, arguments: Mapping[str, Any], body: bytes = b"") -> Answer:
        """Carry out one operation, by its name. Raises OSError, and ValueError for one that there is not."""
        method = getattr(self, "do_" + operation, None)
        if method is None:
            raise ValueError("no operation " + operation)
        answer: Answer = method(body=body, **arguments)
        return answer

    def do_hello(self, body: bytes) -> Answer:
        """Return who and where this is."""
        uid = os.getuid()
        user, _ = self.do_account(b"", "", uid)
        return {"uid": uid, "user": user["name"] if user else str(uid), "python": sys.version.split()[0]}, b""

    def do_account(self, body: bytes, name: str, uid: int) -> Answer:
        """Return a user by name or, where that is empty, by number; None where there is no such one."""
        try:
            found = pwd.getpwnam(name) if name else pwd.getpwuid(uid)
        except (KeyError, OverflowError, ValueError):
            return None, b""
        groups = os.getgrouplist(found.pw_name, found.pw_gid)
        return {"name": found.pw_name, "uid": found.pw_uid, "gid": found.pw_gid, "groups": groups}, b""

    def do_make_folder(self, body: bytes, path: str, mode: int, parents: bool) -> Answer:
        """Create the folder; one that is there is kept, if it is ours and no link."""
        if parents and not os.path.isdir(os.path.dirname(path)):
            self.do_make_folder(b"", os.path.dirname(path), 0o755, True)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
        return None, b""

    def do_make_shared_folder(self, body: bytes, path: str) -> Answer:
        """Create a folder in which everyone may make their own and remove no other's, and let them get there."""
        self.do_make_folder(b"", path, 0o700, False)
        parent = os.path.dirname(path)
        os.chmod(parent, stat.S_IMODE(os.stat(parent).st_mode) | 0o011)  # noqa: S103
        os.chmod(path, 0o1733)  # noqa: S103 - as /tmp, and nobody but us can list it
        return None, b""

    def do_own_folder(self, body: bytes, path: str) -> Answer:
        """Create a folder of our own in one that others write to, too; one that is not ours is an error."""
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise PermissionError(errno.EPERM, "is not this user's own folder", path) from None
        return None, b""

    def do_read(self, body: bytes, path: str, limit: int) -> Answer:
        """Return a regular file's bytes; None where it is none or larger than the limit."""
        descriptor = open_regular(path)
        if descriptor is None:
            return None, b""
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(limit + 1)
        return (len(data), data) if len(data) <= limit else (None, b"")

    def do_write(self, body: bytes, path: str, mode: int, sync: bool) -> Answer:
        """Write the file so that its name never shows half of it; with ``sync`` it is on the disk, under that name.

        A power cut before that may leave the name with an empty file.
        """
        temporary = os.path.join(os.path.dirname(path), ".%s.%s" % (os.path.basename(path), secrets.token_hex(4)))
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            view = memoryview(body)
            while view:
                view = view[os.write(descriptor, view) :]
            os.rename(temporary, path)
            if sync:
                # Behind the rename: a journal takes the name to the disk with its file, so one wait is enough.
                os.fsync(descriptor)
        except BaseException:
            if os.path.lexists(temporary):
                os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)
        return None, b""

    def do_exists(self, body: bytes, path: str) -> Answer:
        """Whether there is something of that name."""
        return os.path.lexists(path), b""

    def do_mode(self, body: bytes, path: str) -> Answer:
        """Return the permissions of a file or folder."""
        return stat.S_IMODE(os.stat(path).st_mode), b""

    def do_list(self, body: bytes, path: str) -> Answer:
        """Return [name, whether it is a folder, time of change] of all in a folder."""
        entries = []
        with os.scandir(path) as found:
            for entry in found:
                try:
                    changed = entry.stat(follow_symlinks=False).st_mtime
                except FileNotFoundError:
                    continue
                entries.append([entry.name, entry.is_dir(follow_symlinks=False), changed])
        return entries, b""

    def do_gather(
        self, body: bytes, path: str, pattern: str, skip: List[str], after: str, most: int, limit: int
    ) -> Answer:
        """Return [name, size or None, words of an error or ""] of a folder's files, and their contents in a row.

        Only files whose whole name fits the pattern are opened; dot files and names to skip are left out. The first
        ``most`` by name whose names come behind ``after``.
        """
        with os.scandir(path) as found:
            names = sorted(entry.name for entry in found if entry.name[0] != "." and entry.name not in skip)
        fits = re.compile(pattern)
        entries: List[Any] = []
        contents: List[bytes] = []
        first = bisect.bisect_right(names, after)
        for name in names[first : first + most]:
            size, data, words = None, b"", ""
            if fits.fullmatch(name):
                try:
                    size, data = self.do_read(b"", os.path.join(path, name), limit)
                except OSError as error:
                    words = str(error)
            entries.append([name, size, words])
            contents.append(data)
        return entries, b"".join(contents)

    def do_rename(self, body: bytes, path: str, target: str) -> Answer:
        """Give the file another name; a missing one is no error."""
        try:
            os.rename(path, target)
        except FileNotFoundError:
            pass
        return None, b""

    def do_remove(self, body: bytes, path: str, names: List[str]) -> Answer:
        """Remove files of a folder; missing ones are no error."""
        for name in names:
            try:
                os.unlink(os.path.join(path, name))
            except FileNotFoundError:
                pass
        return None, b""

    def do_remove_tree(self, body: bytes, path: str) -> Answer:
        """Remove a folder with all in it; nothing there is no error."""
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            pass
        except PermissionError:  # a container made a folder of its volume read-only
            for folder, _, _ in os.walk(path):
                os.chmod(folder, 0o700)  # walked without following links
            shutil.rmtree(path)
        return None, b""

    def do_open(self, body: bytes, path: str) -> Answer:
        """Open a regular file to read and return its handle; None where it is none."""
        descriptor = open_regular(path)
        if descriptor is None:
            return None, b""
        with self._lock:
            if len(self._files) >= _MOST_OPEN:
                os.close(descriptor)
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
            self._next += 1
            self._files[self._next] = descriptor
            return self._next, b""

    def do_read_at(self, body: bytes, handle: int, offset: int, size: int) -> Answer:
        """Return bytes of an open file."""
        return None, os.pread(self._descriptor(handle), size, offset)

    def do_size(self, body: bytes, handle: int) -> Answer:
        """Return the size of an open file."""
        return os.fstat(self._descriptor(handle)).st_size, b""

    def do_close(self, body: bytes, handle: int) -> Answer:
        """Close an open file."""
        with self._lock:
            descriptor = self._files.pop(handle, None)
        if descriptor is not None:
            os.close(descriptor)
        return None, b""

    def do_run(
        self, body: bytes, argv: List[str], environment: Dict[str, str], keep: List[str], timeout: float
    ) -> Answer:
        """Run a command with the body as its input; return [status, size of its output], output and errors in a row.

        It gets the variables given and, of ours, those to be kept. At the time-out its process group is killed, and
        the status is None.
        """
        program = shutil.which(argv[0])
        if program is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
        variables = {name: os.environ[name] for name in keep if name in os.environ}
        variables.update(environment)
        process = subprocess.Popen(
            [program, *argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=variables, cwd="/", start_new_session=True,
        )  # fmt: skip
        with self._lock:
            self._groups.add(process.pid)
        try:
            try:
                output, errors = process.communicate(body, timeout=timeout)
                status = process.returncode
            except subprocess.TimeoutExpired:
                kill_group(process.pid)
                output, errors = process.communicate()
                status = None
        finally:
            with self._lock:
                self._groups.discard(process.pid)
        return [status, len(output)], output + errors

    def end(self) -> None:
        """Kill what still runs."""
        with self._lock:
            for group in self._groups:
                kill_group(group)

    def _descriptor(self, handle: int) -> int:
        with self._lock:
            if handle not in self._files:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return self._files[handle]


def open_regular(path: str) -> Optional[int]:
    """Return a descriptor of a regular file; None where it is missing, a link or anything else (a FIFO would hang)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return descriptor


def kill_group(group: int) -> None:
    """Kill a process group, if it is still there."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer frames, each in a thread of its own, until the input ends."""
    agent, lock = Agent(), threading.Lock()

    def answer(header: Dict[str, Any], body: bytes) -> None:
        try:
            value, content = agent.perform(header["operation"], header["arguments"], body)
            reply: Dict[str, Any] = {"number": header["number"], "value": value}
        except OSError as error:
            reply, content = {"number": header["number"], "errno": error.errno, "path": error.filename}, b""
            reply["words"] = error.strerror or str(error)
        except Exception as error:
            reply, content = {"number": header["number"], "errno": None, "path": None, "words": repr(error)}, b""
        head = json.dumps(reply).encode()
        with lock:
            target.write(LENGTHS.pack(len(head), len(content)) + head + content)
            target.flush()

    target.write(MAGIC)
    target.flush()
    while True:
        lengths = source.read(LENGTHS.size)
        if len(lengths) < LENGTHS.size:
            break
        head, body = LENGTHS.unpack(lengths)
        arguments = (json.loads(source.read(head).decode()), source.read(body))
        threading.Thread(target=answer, args=arguments, daemon=True).start()
    agent.end()


if __name__ == "__main__":
    serve(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os._exit(0)
