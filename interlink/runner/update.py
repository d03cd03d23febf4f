"""What has changed of the pod since its plan was written: the sidecar leaves it in the job's folder."""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from interlink.runner.files import read_json, say

#: core/plan.py's PlanUpdate, written whole by interlink/sidecars/slurm/update.py.
FILE = "volumes.json"
#: How often the file is looked at, and how often contents that a full disk refused are tried again, in seconds.
PACE, RETRY = 1.0, 10.0
#: The largest activeDeadlineSeconds of the Kubernetes API.
LONGEST_DEADLINE = 2**31 - 1

Contents = Dict[str, List[Dict[str, Any]]]


class Update(NamedTuple):
    """The newest contents by volume, activeDeadlineSeconds (None: the plan's), and images by container."""

    contents: Contents
    deadline: Optional[int]
    images: Dict[str, Dict[str, str]]


NOTHING = Update({}, None, {})


class Updates:
    """The file's news."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, FILE)
        self._seen: "Optional[Tuple[int, int]]" = None
        self._due = 0.0

    def look(self, clock: float) -> "Optional[Update]":
        """Return the update if it came since the last look, else None."""
        if clock < self._due:
            return None
        self._due = clock + PACE
        return self.read()

    def read(self) -> "Optional[Update]":
        """Return the update if it is newer than what was read last, else None."""
        try:
            # Opened, not only looked up: a network file system then asks its server (close-to-open consistency).
            with open(self.path, "rb") as file:
                found = os.fstat(file.fileno())
            if (found.st_ino, found.st_mtime_ns) == self._seen:
                return None
            update = _parse(read_json(self.path))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            say("{}: {}: the pod stays as it is".format(self.path, type(error).__name__))
            return None
        self._seen = (found.st_ino, found.st_mtime_ns)
        return update

    def again(self, clock: float) -> None:
        """Have all of it read again later: the disk has refused some of it."""
        self._seen, self._due = None, clock + RETRY


def _parse(document: Any) -> Update:
    """Return what the document says. Raises ValueError, KeyError, TypeError and AttributeError for one that is none."""
    contents = {str(volume["name"]): list(volume.get("files", [])) for volume in document["volumes"]}
    deadline = document.get("activeDeadlineSeconds")
    if deadline is not None and not (type(deadline) is int and 0 <= deadline <= LONGEST_DEADLINE):
        raise ValueError("no number of seconds")
    images = {
        str(name): {part: str(image.get(part, "")) for part in ("said", "image", "refused")}
        for name, image in document.get("images", {}).items()
    }
    return Update(contents, deadline, images)
