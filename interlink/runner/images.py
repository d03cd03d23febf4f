"""Images: pulled into the site's cache by one job at a time, by write-then-rename, then used by all; or files there.

An image named by its path is a file: a directory would be any of the host's, /etc as well as another pod's volumes.
"""

import errno
import fcntl
import hashlib
import os
import subprocess
from typing import Any, Dict, Optional

from interlink.runner.files import words
from interlink.runner.processes import die_with_parent, kill_session
from interlink.runner.runtimes import ImageFile, Runtime

#: Pull back-off of the kubelet: 10 s, doubling to 300 s.
PAUSE_FIRST, PAUSE_LONGEST = 10.0, 300.0


class Image:
    """One image of the pod: pulled into the site's cache by one job at a time, then used by all."""

    def __init__(self, plan: Dict[str, Any], runtime: Runtime, name: str, policy: str) -> None:
        self.runtime, self.name, self.policy = runtime, name, policy
        self.cache = plan["runtime"].get("imageCache", "")
        self.local, self.fault, self.due, self.pause = name.startswith("/"), "", 0.0, 0.0
        #: v1.ContainerStatus.imageID, once it is known.
        self.id = ""
        # What was looked at is what is used: a link could lead elsewhere by then.
        self.path = os.path.realpath(name) if self.local else os.path.join(self.cache, self._key() + runtime.suffix)
        self.never = False
        self.ready = os.path.isfile(self.path) if self.local else policy != "Always" and os.path.exists(self.path)
        self.pull: "Optional[subprocess.Popen[bytes]]" = None
        self.lock = -1
        self.log = os.path.join(plan["folder"], "pull-{}.log".format(self._key()[:12]))
        self.partial = "{}.{}.partial".format(self.path, plan["uid"])
        if self.local:
            self._judge(os.path.realpath(os.path.commonpath([plan["folder"], plan["spool"]])))
        elif not self.ready and self.policy == "Never":
            self.never = True
            self.fault = "image {} is not in the site's cache, and its pull policy is Never".format(self.name)

    def _key(self) -> str:
        return hashlib.sha256(os.fsencode(self.name)).hexdigest()

    def _judge(self, own: str) -> None:
        """Refuse for ever what is no file, and what lies in the sidecar's own folder by whatever links."""
        if not self.ready:
            host = os.uname().nodename
            self.fault = "{} is no image file on {} (a directory is none)".format(self.name, host)
        elif os.path.commonpath([own, self.path]) == own:
            self.ready, self.fault = False, "{} is no image file of the site: it lies in {}".format(self.name, own)
        self.never = not self.ready

    @property
    def file(self) -> ImageFile:
        """The image as the runtime takes it, once ``step`` returned None."""
        return ImageFile(self.path)

    def step(self, clock: float) -> Optional[Dict[str, str]]:
        """Bring the pull a step further; return the waiting state of a container that needs it, None once it is there.

        May be called for each container and at any time: what failed is tried again when its pause is over.
        """
        if not self.ready and clock >= self.due:
            if self.fault and not self.never:
                self.fault = ""
            self._try()
            if self.fault:
                self.pause = min(max(self.pause * 2, PAUSE_FIRST), PAUSE_LONGEST)
                self.due = clock + self.pause
        return None if self.ready else self._waiting()

    def _try(self) -> None:
        """Set ``ready`` or ``fault``, or leave both while a pull is under way."""
        if self.never:
            return
        try:
            self._advance()
        except (OSError, ValueError) as error:
            # No runtime on this node, a full disk, no cache folder: tried again like a registry that is away.
            self.fault = "{}: {}".format(self.name, words(error))
            self.abandon()

    def _waiting(self) -> Dict[str, str]:
        if self.never:
            return {"reason": "ErrImageNeverPull", "message": self.fault}
        if self.fault:
            reason = "ErrImagePull" if self.pause == PAUSE_FIRST else "ImagePullBackOff"
            message = "{} (tried again in {:.0f} s)".format(self.fault, self.pause)
            return {"reason": reason, "message": message}
        what = "Pulling image {}" if self.pull else "Waiting for another job's pull of image {}"
        return {"reason": "ContainerCreating", "message": what.format(self.name)}

    def abandon(self) -> None:
        """End a pull that nobody waits for any more, and leave nothing of it."""
        if self.pull is not None:
            kill_session(self.pull.pid)
            self.pull.wait()
            if os.path.exists(self.partial):
                os.unlink(self.partial)
        if self.lock >= 0:
            self._unlock(ready=False)

    def _advance(self) -> None:
        if self.pull is not None:
            if self.pull.poll() is not None:
                self._finish(self.pull.returncode)
        elif not self.ready and self._locked():
            if self.policy != "Always" and os.path.exists(self.path):
                self._unlock(ready=True)
                return
            with open(self.log, "wb") as log:
                launch = self.runtime.pull(self.name, self.partial, "")
                self.pull = subprocess.Popen(
                    launch.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=launch.environment,
                    start_new_session=True, preexec_fn=die_with_parent,
                )  # fmt: skip

    def _locked(self) -> bool:
        self.lock = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT, 0o600) if self.lock < 0 else self.lock
        try:
            fcntl.lockf(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def _unlock(self, ready: bool) -> None:
        os.close(self.lock)
        self.lock, self.pull, self.ready = -1, None, ready

    def _finish(self, status: int) -> None:
        if status == 0:
            # A file that is the same stays: replacing it would take it away from jobs on other nodes (NFS).
            if same_contents(self.partial, self.path):
                os.unlink(self.partial)
            else:
                os.rename(self.partial, self.path)
        else:
            with open(self.log, "rb") as log:
                lines = [os.fsdecode(line).strip() for line in log if line.strip()]
            said = [line.replace("FATAL:", "").strip() for line in lines if line.startswith("FATAL:")] or lines[-1:]
            self.fault = "{}: {}".format(self.name, " ".join(said)[-1000:] or "pull ended with {}".format(status))
            if os.path.exists(self.partial):
                os.unlink(self.partial)
        self._unlock(ready=status == 0)


def same_contents(one: str, other: str) -> bool:
    """Return whether two files hold the same bytes; a missing one does not."""
    if not os.path.exists(other) or os.path.getsize(one) != os.path.getsize(other):
        return False
    digests = []
    for path in (one, other):
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        digests.append(digest.digest())
    return digests[0] == digests[1]
