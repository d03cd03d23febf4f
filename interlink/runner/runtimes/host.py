"""Containers straight on the host: processes of the job's user, volumes as links below $INTERLINK_MOUNTS."""

import os
import shutil
from typing import Any, Dict, Optional, Sequence

from interlink.runner.files import RunnerError
from interlink.runner.runtimes.base import HOST_PATH, Bind, ImageFile, Launch, Pairs, Runtime, kept, parents_first

#: Where a container finds its volumes; and by which it is known what of a daemon's processes is whose.
MOUNTS = "INTERLINK_MOUNTS"


class Host(Runtime):
    """No runtime at all."""

    images = False

    @classmethod
    def program(cls) -> str:
        """See Runtime: a container's own command is the program."""
        return ""

    def launch(self, spec: Dict[str, Any], image: Optional[ImageFile], binds: Sequence[Bind], pairs: Pairs) -> Launch:  # noqa: ARG002
        """See Runtime. Makes the folder where the container's volumes appear, anew for each start."""
        folder = os.path.join(self.plan["folder"], "host", spec["name"])
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder, 0o700)
        for bind in parents_first(binds):
            link = os.path.join(folder, bind.destination.strip("/"))
            os.makedirs(os.path.dirname(link), exist_ok=True)
            if os.path.islink(link):
                os.unlink(link)  # below another mount: the container's last run left it in that volume
            os.symlink(bind.source, link)
        argv = list(spec.get("command") or ()) + list(spec.get("args") or ())
        if not argv:
            raise RunnerError("a container on the host needs a command: there is no image to take one from")
        login = kept("HOME", "USER", "LOGNAME", "LANG")
        environment = {"PATH": HOST_PATH, **login, MOUNTS: folder, **dict(pairs)}
        return Launch(argv, environment, spec.get("workingDir") or folder)
