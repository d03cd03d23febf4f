"""A container's working folder, made where neither its image nor a volume has it, as containerd makes it.

Called by ``container.py``. Whether an image has a folder only the runtime can tell: it is asked once, by the start of a
program that no image has, which ends at once and says which of the two it did not find. What is missing becomes an
empty folder of the job's, bound to its place.
"""

import errno
import os
import posixpath
from typing import Any, Dict, List, Optional

from interlink.runner.actions import Action, start
from interlink.runner.enter import Entry
from interlink.runner.files import RunnerError, remove_tree
from interlink.runner.guard import Guard
from interlink.runner.runtimes import Bind, ImageFile, Launch, Runtime
from interlink.runner.volumes.places import descend, is_below, parts_below


class WorkingFolder:
    """The working folder of one container; an empty ``path`` is the image's own or the host's, which nobody makes."""

    def __init__(self, plan: Dict[str, Any], spec: Dict[str, Any], runtime: Runtime, guard: Guard) -> None:
        self.spec, self.runtime, self.guard = spec, runtime, guard
        said = spec.get("workingDir", "") if runtime.images else ""
        self.path = posixpath.normpath(said) if said else ""
        self.own = os.path.join(plan["folder"], "folders", spec["name"])
        self.action: Optional[Action] = None
        #: None until the runtime was asked.
        self.missing: Optional[bool] = None

    def step(self, image: Optional[ImageFile], clock: float) -> bool:
        """Return whether it is known if the image has the folder; ask where it is not."""
        if self.missing is None and self.action is None:
            launch = self._look(image)
            if launch is None:
                self.missing = False
            else:
                # Unpacking a large image may take its time.
                self.action = start(_NO_HANDLER, clock, float("inf"), lambda _: Entry(launch), self.guard)
        outcome = None if self.action is None else self.action.poll(clock)
        if outcome is not None:
            self.action = None
            self.missing = self.runtime.no_folder.format(self.path) in outcome.message
        return self.missing is not None

    def binds(self, binds: List[Bind]) -> List[Bind]:
        """Return the container's binds with what its working folder needs. Raises OSError, RunnerError."""
        if not self.path:
            return binds
        above = [bind for bind in binds if is_below(self.path, bind.destination.rstrip("/"))]
        if above:
            _make_below(max(above, key=lambda bind: len(bind.destination)), self.path)
        if above or not self.missing:
            return binds
        remove_tree(self.own)
        os.makedirs(self.own, 0o755)
        return [*binds, Bind(self.own, self.path)]

    def descriptors(self) -> List[int]:
        """Return what to wait for."""
        return [] if self.action is None or self.action.fd < 0 else [self.action.fd]

    def cancel(self) -> None:
        """Ask no further."""
        if self.action is not None:
            self.action.cancel()
            self.action = None

    def _look(self, image: Optional[ImageFile]) -> Optional[Launch]:
        """Return what asks the runtime, None where there is no need to."""
        if image is None or not self._is_in_question(image):
            return None
        try:
            return self.runtime.look({**self.spec, "workingDir": self.path}, image)
        except (OSError, RunnerError):
            return None  # the container's own start fails by the same, and says it

    def _is_in_question(self, image: ImageFile) -> bool:
        """Whether neither the image's own settings nor a mount says that the folder is there."""
        own = "" if image.config is None else posixpath.normpath(image.config.get("WorkingDir") or "/")
        mounts = [posixpath.normpath(mount["mountPath"]) for mount in self.spec.get("mounts", ())]
        by_mount = any(is_below(self.path, mount) or is_below(mount, self.path) for mount in mounts)
        return self.path not in ("", "/", own) and not by_mount


#: The runtime's own start is the command.
_NO_HANDLER: Dict[str, Any] = {"kind": "exec", "command": []}


def _make_below(bind: Bind, path: str) -> None:
    """Make the folder in a volume, as far as it is missing. Raises RunnerError in the words of runc."""
    parts = parts_below(path, bind.destination)
    if not parts or not os.path.isdir(bind.source):
        return  # the mount's own folder; or of a stage, which only the container's process sees
    try:
        os.close(descend(bind.source, parts, 0 if bind.read_only else 0o755))
    except OSError as error:
        if error.errno == errno.ELOOP:
            return  # a link, which leads where it leads inside
        missing = error.errno == errno.ENOENT and bind.read_only
        reason = os.strerror(errno.EROFS if missing else error.errno or 0)
        raise RunnerError("workingDir: mkdir {}: {}".format(path, reason.lower())) from error
