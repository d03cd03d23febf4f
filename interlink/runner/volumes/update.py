"""Newer contents of ConfigMaps, Secrets and tokens, which the sidecar leaves in the job's folder while the pod runs."""

import os
from typing import Any, Dict, List, Optional, Tuple

from interlink.runner.files import read_json, say, words
from interlink.runner.volumes.projection import Projection

#: {"volumes": [PlanVolume of kind files, …]}, written whole by interlink/sidecars/slurm/update.py.
FILE = "volumes.json"
#: How often the file is looked at, and how often contents that a full disk refused are tried again, in seconds.
PACE, RETRY = 1.0, 10.0

Contents = Dict[str, List[Dict[str, Any]]]


class Updates:
    """The newest contents by volume."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, FILE)
        self._seen: "Optional[Tuple[int, int]]" = None
        self._due = 0.0

    def look(self, clock: float) -> "Optional[Contents]":
        """Return the contents if they came since the last look, else None."""
        if clock < self._due:
            return None
        self._due = clock + PACE
        return self.read()

    def read(self) -> "Optional[Contents]":
        """Return the contents if they are newer than what was read last, else None."""
        try:
            # Opened, not only looked up: a network file system then asks its server (close-to-open consistency).
            with open(self.path, "rb") as file:
                found = os.fstat(file.fileno())
            if (found.st_ino, found.st_mtime_ns) == self._seen:
                return None
            document = read_json(self.path)
            contents = {volume["name"]: volume.get("files", []) for volume in document["volumes"]}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            say("{}: {}: the volumes keep their contents".format(self.path, type(error).__name__))
            return None
        self._seen = (found.st_ino, found.st_mtime_ns)
        return contents

    def bring(self, projection: Projection, files: List[Dict[str, Any]], clock: float) -> None:
        """Let a volume show the files; where the disk refuses them, all of it is tried again."""
        try:
            projection.update(files, clock)
        except OSError as error:
            say("{} keeps its contents for now: {}".format(projection.folder, words(error)))
            self._seen, self._due = None, clock + RETRY
