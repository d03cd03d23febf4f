"""One container's log in the CRI format, as a kubelet's runtime writes it: time, stream, F or P, text.

The present run of the container writes ``logs/NAME.log``; when that is full it goes on in NAME.log.1, then NAME.log.2,
…, and the oldest are removed. A file keeps its name as long as the run lasts, so that whoever reads it, over whatever
file system, can go on in the next. The run before has NAME.log.previous, NAME.log.previous.1, ….
"""

import os
import re
import time
from datetime import datetime, timezone
from typing import Dict, List, Tuple

from interlink.runner.files import say

#: CRI log lines are cut at this many bytes, as containerd does.
LOG_LINE = 16 * 1024
#: So much of the end is kept for the container's last words, in bytes.
TAIL = 2048


class Log:
    """One container's log; ``limit`` bytes make a file full, and ``kept`` full ones stay beside it."""

    def __init__(self, path: str, limit: int, kept: int) -> None:
        self.path, self.limit, self.kept = path, limit, kept
        self.rest = {"stdout": b"", "stderr": b""}
        self.file = -1
        self.size, self.number = 0, 0
        self.tail = b""

    def begin(self) -> None:
        """Open a fresh log; the last run's becomes the previous one. Raises OSError."""
        self.end()
        last = _files(self.path)
        if last:
            for path in _files(self.path + ".previous").values():
                os.unlink(path)
            for number, path in last.items():
                os.rename(path, _numbered(self.path + ".previous", number))
        self.tail, self.number = b"", 0
        self._open()

    def take(self, stream: str, data: bytes) -> None:
        """Take output as it comes."""
        self.tail = (self.tail + data[-TAIL:])[-TAIL:]
        lines = (self.rest[stream] + data).split(b"\n")
        self.rest[stream] = lines.pop()
        pieces = []
        for line in lines:
            cut = [line[start : start + LOG_LINE] for start in range(0, len(line), LOG_LINE)] or [b""]
            pieces += [(b"P", piece) for piece in cut[:-1]]
            pieces.append((b"F", cut[-1]))
        while len(self.rest[stream]) > LOG_LINE:
            pieces.append((b"P", self.rest[stream][:LOG_LINE]))
            self.rest[stream] = self.rest[stream][LOG_LINE:]
        self._write(stream, pieces)

    def end(self) -> None:
        """Write what came without a newline, and close."""
        for stream, rest in self.rest.items():
            if rest:
                self._write(stream, [(b"P", rest)])
                self.rest[stream] = b""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def _open(self) -> None:
        self.file = os.open(_numbered(self.path, self.number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.size = os.fstat(self.file).st_size

    def _write(self, stream: str, pieces: List[Tuple[bytes, bytes]]) -> None:
        moment = time.time()
        stamp = "{}.{:09d}Z".format(
            datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S"), int(moment % 1 * 1e9)
        )
        head = "{} {} ".format(stamp, stream).encode()
        lines = [head + tag + b" " + text + b"\n" for tag, text in pieces]
        try:
            while lines:
                if self.size and self.size + len(lines[0]) > self.limit:
                    self._rotate()
                self.size += os.write(self.file, b"".join(self._fitting(lines)))
        except OSError as error:
            # A full disk costs log lines, never the container.
            say("{}: some of the log is lost: {}".format(self.path, error.strerror))

    def _fitting(self, lines: List[bytes]) -> List[bytes]:
        """Take from the lines, and return, those that fit into the file; one at least."""
        size, count = self.size + len(lines[0]), 1
        while count < len(lines) and size + len(lines[count]) <= self.limit:
            size, count = size + len(lines[count]), count + 1
        fitting, lines[:] = lines[:count], lines[count:]
        return fitting

    def _rotate(self) -> None:
        """Go on in the next file, and remove the oldest where there are too many. Raises OSError."""
        full = self.file
        self.number += 1
        self._open()
        os.close(full)
        for number, path in _files(self.path).items():
            if number < self.number - self.kept:
                os.unlink(path)


def _numbered(path: str, number: int) -> str:
    return "{}.{}".format(path, number) if number else path


def _files(path: str) -> Dict[int, str]:
    """Return the files of one run's log by their numbers."""
    folder, name = os.path.split(path)
    form = re.compile(re.escape(name) + r"(?:\.([0-9]+))?")
    matches = (form.fullmatch(each) for each in os.listdir(folder))
    return {int(match.group(1) or 0): os.path.join(folder, match.group(0)) for match in matches if match}
