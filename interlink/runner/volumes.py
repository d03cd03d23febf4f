"""The pod's volumes as folders below the job's own, and what of them a container's mount shows."""

import base64
import os
import shutil
from typing import Any, Dict

from interlink.runner.files import RunnerError
from interlink.runner.times import now


class Volumes:
    """The pod's volumes as folders below the job's own."""

    def __init__(self, plan: Dict[str, Any]) -> None:
        self.root = os.path.join(plan["folder"], "volumes")
        self.files = {volume["name"] for volume in plan.get("volumes", ()) if volume["kind"] == "files"}
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(self.root, 0o700)
        for volume in plan.get("volumes", ()):
            folder = os.path.join(self.root, volume["name"])
            os.mkdir(folder)
            os.chmod(folder, 0o755 if volume["kind"] == "files" else 0o777)
            if volume["kind"] == "files":
                self._write(folder, volume.get("files", ()))

    @staticmethod
    def _write(folder: str, files: Any) -> None:
        """Write files as the kubelet does, behind a ``..data`` link that an update can switch at once."""
        data = "..{}".format(now().strftime("%Y_%m_%d_%H_%M_%S.%f"))
        os.mkdir(os.path.join(folder, data), 0o755)
        os.symlink(data, os.path.join(folder, "..data"))
        for file in files:
            path = os.path.join(folder, data, file["path"])
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
                written.write(base64.b64decode(file["data"]))
            os.chmod(path, file.get("mode", 0o644))
            first = file["path"].split("/")[0]
            if not os.path.lexists(os.path.join(folder, first)):
                os.symlink(os.path.join("..data", first), os.path.join(folder, first))

    def source(self, mount: Dict[str, Any]) -> str:
        """Return the path on the host that a mount shows. Raises RunnerError for one that leads out of its volume."""
        root = os.path.join(self.root, mount["volume"])
        sub_path = mount.get("subPath", "")
        if not sub_path:
            return root
        path = os.path.realpath(os.path.join(root, sub_path))
        if os.path.commonpath([path, os.path.realpath(root)]) != os.path.realpath(root):
            raise RunnerError("subPath {!r} leads out of volume {}".format(sub_path, mount["volume"]))
        if mount["volume"] not in self.files:
            os.makedirs(path, exist_ok=True)
        return path

    def read_only(self, mount: Dict[str, Any]) -> bool:
        """Return whether a mount may not be written to: ConfigMaps and Secrets never may (as under a kubelet)."""
        return bool(mount.get("readOnly")) or mount["volume"] in self.files
