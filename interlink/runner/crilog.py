"""One container's log in the CRI format, as a kubelet's runtime writes it: time, stream, F or P, text."""

import os
import time
from datetime import datetime, timezone
from typing import List, Tuple

from interlink.runner.files import say

#: CRI log lines are cut at this many bytes, as containerd does.
LOG_LINE = 16 * 1024


class Log:
    """One container's log in the CRI format: time, stream, F or P (a line cut short), text."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.rest = {"stdout": b"", "stderr": b""}
        self.file = -1

    def begin(self) -> None:
        """Open a fresh log; the last run's becomes the previous one."""
        self.end()
        if os.path.exists(self.path):
            os.rename(self.path, self.path + ".previous")
        self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def take(self, stream: str, data: bytes) -> None:
        """Take output as it comes."""
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

    def _write(self, stream: str, pieces: List[Tuple[bytes, bytes]]) -> None:
        moment = time.time()
        stamp = "{}.{:09d}Z".format(
            datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S"), int(moment % 1 * 1e9)
        )
        head = "{} {} ".format(stamp, stream).encode()
        try:
            os.write(self.file, b"".join(head + tag + b" " + text + b"\n" for tag, text in pieces))
        except OSError as error:
            # A full disk costs log lines, never the container.
            say("{}: {} bytes of log lost: {}".format(self.path, sum(len(text) for _, text in pieces), error.strerror))
