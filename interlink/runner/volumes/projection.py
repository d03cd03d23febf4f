"""One volume of files (ConfigMap, Secret, projected, downward API), written so that readers see an old or a new whole.

The layout is that of the kubelet's AtomicWriter: the files lie in a folder with a time for its name, ``..data`` is a
link to it that one rename switches, and each name that containers see is a link through ``..data``.
"""

import base64
import os
import shutil
import tempfile
from typing import Any, Dict, List, Tuple

from interlink.runner.times import now

DATA = "..data"
#: How long the files before an update are kept: a container that is just being started may be binding them. Seconds.
KEPT = 30.0


class Projection:
    """The files of one volume. Nothing but the runner writes here: containers have it read-only."""

    def __init__(self, folder: str, files: List[Dict[str, Any]]) -> None:
        self.folder, self.files = folder, files
        self._old: List[Tuple[float, str]] = []
        os.mkdir(folder)
        os.chmod(folder, 0o755)  # noqa: S103 - as the kubelet; the job's folder is closed
        self._switch(self._write(files))

    def update(self, files: List[Dict[str, Any]], clock: float) -> bool:
        """Show other files from now on; return whether they were others. Raises OSError, and then shows the old."""
        if files == self.files:
            return False
        before = os.readlink(os.path.join(self.folder, DATA))
        self._switch(self._write(files))
        self._old.append((clock + KEPT, before))
        self.files = files
        return True

    def sweep(self, clock: float) -> None:
        """Remove what updates have replaced, once nobody can be binding it any more."""
        while self._old and self._old[0][0] <= clock:
            shutil.rmtree(os.path.join(self.folder, self._old.pop(0)[1]), ignore_errors=True)

    def _write(self, files: List[Dict[str, Any]]) -> str:
        """Write the files into a folder of their own; return its name."""
        data = tempfile.mkdtemp(prefix=now().strftime("..%Y_%m_%d_%H_%M_%S."), dir=self.folder)
        try:
            os.chmod(data, 0o755)  # noqa: S103 - as above
            for file in files:
                path = os.path.join(data, file["path"])
                os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
                    written.write(base64.b64decode(file["data"]))
                os.chmod(path, file.get("mode", 0o644))
        except OSError:
            shutil.rmtree(data, ignore_errors=True)
            raise
        return os.path.basename(data)

    def _switch(self, data: str) -> None:
        """Let ``..data`` lead to the new files, then add and remove the names that containers see."""
        partial = os.path.join(self.folder, "..data_tmp")
        if os.path.lexists(partial):
            os.unlink(partial)
        os.symlink(data, partial)
        os.rename(partial, os.path.join(self.folder, DATA))
        shown = set(os.listdir(os.path.join(self.folder, data)))
        there = {name for name in os.listdir(self.folder) if not name.startswith("..")}
        for name in shown - there:
            os.symlink(os.path.join(DATA, name), os.path.join(self.folder, name))
        for name in there - shown:
            os.unlink(os.path.join(self.folder, name))
