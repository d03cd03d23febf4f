"""Containers under Charliecloud: ch-image pulls, ch-convert makes a squashfs file, ch-run runs it.

``executable`` is ch-run; the other two stand beside it. The environment goes by a file of NUL-separated words
(--set-env0), so it arrives byte for byte. Of a squashfs file ch-run itself is the file system (FUSE), beside the
container: SIGTERM to it would take the root away from a container that hears nothing of it. ch-run binds
nothing read-only: of the pod's own volumes a container has a copy of its own, but a path of the site that must not be
written to is refused. Manual: ch-run(1), ch-image(1).
"""

import os
from typing import Any, Dict, List, Optional, Sequence

from interlink.runner.files import RunnerError, write_whole
from interlink.runner.runtimes.base import (
    Bind,
    ImageFile,
    Launch,
    Pairs,
    Runtime,
    Source,
    command_line,
    parents_first,
    registry_name,
    runtimes_own,
    variables,
    working_folder,
)

#: A writable layer in memory, a /tmp of its own, and of the job's environment nothing.
OPTIONS = ["--write-fake", "--private-tmp", "--unset-env=*", "--env-no-expand"]
#: terminationMessagePath where the pod says none. A container's /dev is the node's, where nobody can make it.
LAST_WORDS = "/dev/termination-log"


class Charliecloud(Runtime):
    """ch-image, ch-convert and ch-run."""

    suffix = ".sqfs"
    root_options = frozenset({"--uid=0", "-u0"})
    no_folder = "can't cd to {}: No such file or directory"

    @classmethod
    def program(cls) -> str:
        """See Runtime."""
        return "ch-run"

    def launch(self, spec: Dict[str, Any], image: Optional[ImageFile], binds: Sequence[Bind], pairs: Pairs) -> Launch:
        """See Runtime. GPUs need no option: the node's devices are there, its libraries the image has (ch-fromhost)."""
        assert image is not None
        values = os.path.join(self.plan["folder"], "ch-run-{}.env".format(spec["name"]))
        # ch-run takes one pair of single quotes off a value: it gets one that it may take.
        # And no HOME by itself; Kubernetes gives this one to a user whom the image does not know.
        named = {"HOME": "/", **variables(image, pairs)}
        words = ("{}='{}'".format(name, value) for name, value in named.items())
        write_whole(values, b"".join(os.fsencode(word) + b"\0" for word in words))
        argv = [self.executable, *OPTIONS, "--set-env0=" + values, *self.options]
        for option, key in (("--uid", "runAsUser"), ("--gid", "runAsGroup")):
            argv += ["{}={}".format(option, spec[key])] if spec.get(key) is not None else []
        folder = working_folder(spec, image)
        argv += ["--cd=" + folder] if folder else []
        shown = [bind for bind in parents_first(binds) if bind.destination != LAST_WORDS]
        argv += ["--bind={}".format(self._bind(bind)) for bind in shown]
        environment = runtimes_own("HOME", "USER", "TMPDIR")
        return Launch([*argv, image.path, "--", *command_line(spec, image)], environment, deaf=True)

    def pull(self, source: Source, target: str, scratch: str) -> List[Launch]:
        """See Runtime. The storage folder is of this pull alone."""
        name = registry_name(source, "Charliecloud")
        options = ["--storage", os.path.join(scratch, "storage")]  # two words: ch-convert knows no other form
        login = ["--auth"] if source.username else []
        secret = {"CH_IMAGE_USERNAME": source.username, "CH_IMAGE_PASSWORD": source.password} if login else {}
        insecure = ["--tls-no-verify"] if source.insecure else []
        folder = os.path.dirname(self.executable)
        pull = [os.path.join(folder, "ch-image"), *options, *login, *insecure, "pull", name, "image"]
        convert = [os.path.join(folder, "ch-convert"), *options, "--in-fmt=ch-image", "image", target]
        return [Launch(pull, {**os.environ, **secret}), Launch(convert, dict(os.environ))]

    def _bind(self, bind: Bind) -> str:
        """Return --bind's word. Raises RunnerError for what ch-run cannot do."""
        own = os.path.join(self.plan["folder"], "")
        if bind.read_only and not bind.source.startswith(own):
            raise RunnerError("Charliecloud cannot mount {} read-only".format(bind.source))
        if bind.destination.startswith("/dev/") and not os.path.exists(bind.destination):
            raise RunnerError("Charliecloud cannot mount at {}: /dev is the node's".format(bind.destination))
        for path in (bind.source, bind.destination):
            if ":" in path:
                raise RunnerError("Charliecloud cannot mount {!r}: a path with a colon".format(path))
        return "{}:{}".format(bind.source, bind.destination)
