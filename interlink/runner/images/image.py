"""One image of the pod, as its containers wait for it. Used by ``container.py`` in the runner's loop: never blocks.

What is in the cache and allowed to the pod is taken at once; else a puller (``puller.py``, a process of its own) is
started and listened to. An image named by its path is a file: a directory would be any of the host's, /etc as well as
another pod's volumes.
"""

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, Optional

from interlink.runner.files import RunnerError, as_utf8, words
from interlink.runner.images.cache import Cache, may_use
from interlink.runner.images.credentials import fitting, for_name
from interlink.runner.images.reference import InvalidName, Reference, parse
from interlink.runner.images.registry import architecture
from interlink.runner.processes import die_with_parent, kill_session
from interlink.runner.runtimes import ImageFile, Runtime
from interlink.runner.times import go_duration

if TYPE_CHECKING:
    from interlink.runner.guard import Guard

#: Pull back-off of the kubelet: 10 s, doubling to 300 s.
PAUSE_FIRST, PAUSE_LONGEST = 10.0, 300.0
NEVER = "ErrImageNeverPull"
#: How long a puller that is not wanted any more may take to clean up, in seconds.
END = 5.0


class Image:
    """One image: ``step`` until it returns None, then ``file`` is there."""

    def __init__(self, plan: Dict[str, Any], runtime: Runtime, name: str, policy: str, guard: "Guard") -> None:
        self.plan, self.runtime, self.name, self.policy, self.guard = plan, runtime, name, policy, guard
        self.cache = Cache(plan["runtime"].get("imageCache", ""), runtime.suffix)
        self.credentials = plan["runtime"].get("credentials", ())
        self.file: Optional[ImageFile] = None
        #: v1.ContainerStatus.imageID, once it is known.
        self.id = ""
        self.reason, self.fault, self.progress = "", "", ""
        self.due, self.pause = 0.0, 0.0
        self.puller: "Optional[subprocess.Popen[bytes]]" = None
        self.heard = b""
        #: When the puller was started; and what the kubelet would say of the pull, once that was a success.
        self.asked, self.pulled = 0.0, ""
        self.reference: Optional[Reference] = None
        if name.startswith("/"):
            self._judge(os.path.realpath(name), os.path.realpath(os.path.commonpath([plan["folder"], plan["spool"]])))
        elif name.startswith("docker://") or "://" not in name:
            try:
                self.reference = parse(name)
            except InvalidName as error:
                self.reason, self.fault = "InvalidImageName", str(error)

    def _judge(self, path: str, own: str) -> None:
        """Take a file of the site, what was looked at and no link; refuse all else, and the sidecar's own folder."""
        if not os.path.isfile(path):
            text = "{} is no image file on {} (a directory is none)"
            self.reason, self.fault = NEVER, text.format(self.name, os.uname().nodename)
        elif os.path.commonpath([own, path]) == own:
            self.reason, self.fault = NEVER, "{} is no image file of the site: it lies in {}".format(self.name, own)
        else:
            self.file = ImageFile(path)

    def refuse(self, fault: str) -> None:
        """Have the image never be there: the sidecar says that it must not be had, and why."""
        self.reason, self.fault = "InvalidImageName", fault

    def step(self, clock: float) -> Optional[Dict[str, str]]:
        """Bring the image nearer; return the waiting state of a container that needs it, None once it is there.

        May be called for each container and at any time: what failed is tried again when its pause is over.
        """
        for_ever = self.reason in (NEVER, "InvalidImageName")
        if self.file is None and not for_ever and clock >= self.due:
            self.reason, self.fault = "", ""
            try:
                self._advance()
            except (OSError, ValueError, RunnerError) as error:
                # No Python that starts, a full disk, no cache folder: tried again like a registry that is away.
                self._fail("", "{}: {}".format(self.name, words(error)))
                self.abandon()
            if self.fault and self.reason != NEVER:
                self.pause = min(max(self.pause * 2, PAUSE_FIRST), PAUSE_LONGEST)
                self.due = clock + self.pause
        return None if self.file is not None else self._waiting()

    def _waiting(self) -> Dict[str, str]:
        if self.reason:
            return {"reason": self.reason, "message": self.fault}
        if self.fault:
            reason = "ErrImagePull" if self.pause == PAUSE_FIRST else "ImagePullBackOff"
            message = "{} (tried again in {:.0f} s)".format(self.fault, self.pause)
            return {"reason": reason, "message": message}
        return {"reason": "ContainerCreating", "message": self.progress or "Pulling image {}".format(self.name)}

    def abandon(self) -> None:
        """End a pull that nobody waits for any more; its lock goes with it."""
        if self.puller is None:
            return
        self.puller.terminate()
        try:
            self.puller.wait(END)
        except subprocess.TimeoutExpired:
            pass  # what it left goes with the next pull of the image
        kill_session(self.puller.pid)
        self._forget_puller()

    def _advance(self) -> None:
        if self.puller is not None:
            self._listen(self.puller)
        elif self.policy != "Always" and self._take():
            pass
        elif self.policy == "Never":
            text = "image {} is not in the site's cache for this pod, and its pull policy is Never"
            self._fail(NEVER, text.format(self.name))
        else:
            self._start()

    def _take(self) -> bool:
        """Take the image from the cache, where it is there and the pod may have it; return whether that is so."""
        if self.reference is None:
            return self._take_key(self.cache.key_of_name(self.name, for_name(self.credentials, self.name)), "")
        digest = self.reference.digest or self.cache.digest_of(self.name)
        if not digest:
            return False
        key = self.cache.key(digest, architecture())
        known = self.cache.known(key)
        allowed = known is not None and may_use(known, self.reference.name, fitting(self.credentials, self.reference))
        return allowed and self._take_key(key, digest)

    def _take_key(self, key: str, digest: str) -> bool:
        known = self.cache.known(key)
        if known is None:
            return False
        pinned = "{}@{}".format(self.reference.name, digest) if self.reference is not None else ""
        self.id = pinned or self.name
        self.file = ImageFile(self.cache.path(key), known.get("config"), pinned)
        return True

    def _start(self) -> None:
        """Start the puller; what it needs, credentials among it, goes to it by a pipe."""
        plan = {name: self.plan[name] for name in ("folder", "uid", "runtime")}
        request = as_utf8(json.dumps({"plan": plan, "name": self.name, "policy": self.policy}, ensure_ascii=False))
        self.progress, self.heard = "", b""
        self.asked = time.monotonic()
        self.puller = subprocess.Popen(
            [sys.executable, sys.argv[0], "--pull"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        self.guard.tell(self.puller.pid, alive=True)
        assert self.puller.stdin is not None
        assert self.puller.stdout is not None
        os.set_blocking(self.puller.stdout.fileno(), False)
        try:
            self.puller.stdin.write(request)
            self.puller.stdin.close()
        except BrokenPipeError:
            pass  # it ended at once: its exit status is what counts

    def _listen(self, puller: "subprocess.Popen[bytes]") -> None:
        """Hear what the puller says, until it has ended."""
        assert puller.stdout is not None
        status = puller.poll()
        self.heard += puller.stdout.read() or b""
        lines, _, self.heard = self.heard.rpartition(b"\n")
        for line in filter(None, lines.split(b"\n")):
            said = json.loads(os.fsdecode(line))
            self.progress = said.get("progress", self.progress)
            if "fault" in said:
                self._fail(said.get("reason", ""), said["fault"])
            elif "key" in said:
                self._take_key(said["key"], said.get("digest", ""))
                self._note_pull(said.get("seconds", 0.0))
        if status is None and not self.fault and self.file is None:
            return
        # Its last word is said: it ends now, and must not be asked again what it ended with.
        self._forget_puller()
        if self.file is None and not self.fault:
            self._fail("", "{}: the pull ended with status {}".format(self.name, status))

    def _note_pull(self, seconds: float) -> None:
        """Put the pull into the words of the kubelet's image manager; the size is that of the file in the cache."""
        if self.file is not None:
            self.pulled = 'Successfully pulled image "{}" in {} ({} including waiting). Image size: {} bytes.'.format(
                self.name, go_duration(seconds), go_duration(time.monotonic() - self.asked),
                os.path.getsize(self.file.path),
            )  # fmt: skip

    def _forget_puller(self) -> None:
        assert self.puller is not None
        assert self.puller.stdout is not None
        self.puller.wait()
        self.guard.tell(self.puller.pid, alive=False)
        self.puller.stdout.close()
        self.puller = None

    def _fail(self, reason: str, fault: str) -> None:
        self.reason, self.fault = reason, fault
