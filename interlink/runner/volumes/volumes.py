"""The pod's volumes: made when the job begins, mounted at each start of a container, kept current, counted, removed."""

import os
import stat
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Set, Tuple

from interlink.runner.files import RunnerError, remove_tree, say, words
from interlink.runner.runtimes import Bind
from interlink.runner.update import Contents
from interlink.runner.volumes.empty import EmptyDirs
from interlink.runner.volumes.mounts import Mounts
from interlink.runner.volumes.places import Place, sub_place
from interlink.runner.volumes.projection import Projection
from interlink.runner.volumes.site import is_settled, site_place
from interlink.runner.volumes.stage import Stage, can_stage

if TYPE_CHECKING:
    from interlink.runner.guard import Guard

#: The file volumes, and emptyDirs that live on the shared file system, below the job's folder.
FOLDER = "volumes"
#: An empty folder of the job's, over which each container that needs it mounts its stage.
STAGE_FOLDER = "stage"


class Volumes:
    """All volumes of one pod. A volume that cannot be made fails the containers that mount it, by its name."""

    def __init__(self, plan: Dict[str, Any], guard: "Guard", latest: Contents) -> None:
        """``latest`` are contents that are newer than the plan's."""
        self.plan = plan
        self.volumes: Dict[str, Dict[str, Any]] = {volume["name"]: volume for volume in plan.get("volumes", ())}
        folder = os.path.realpath(plan["folder"])
        self.root, self._stage_folder = os.path.join(folder, FOLDER), os.path.join(folder, STAGE_FOLDER)
        os.makedirs(self.root, 0o700, exist_ok=True)
        for name in os.listdir(self.root):
            # Left by a run before a requeue. An emptyDir lives as long as its pod: a container may go on from it.
            if self.volumes.get(name, {}).get("kind") != "emptyDir":
                remove_tree(os.path.join(self.root, name))
        os.makedirs(self._stage_folder, 0o700, exist_ok=True)
        self._projections: Dict[str, Projection] = {}
        for name, volume in self.volumes.items():
            if volume["kind"] == "files":
                files = volume.get("files", [])
                files = files if volume.get("immutable") else latest.get(name, files)
                self._projections[name] = Projection(os.path.join(self.root, name), files)
        self._empty = EmptyDirs(plan, self.root, guard)
        self._above = _mounted_folders(plan)
        self._can_stage: "Optional[bool]" = None

    def mounts(self, spec: Dict[str, Any]) -> Mounts:
        """Return what a container mounts, for one start of it. Raises RunnerError and OSError."""
        binds: List[Bind] = []
        stage: "Optional[Stage]" = None
        for mount in spec.get("mounts", ()):
            place = self._place(spec, mount)
            source = place.path
            if not place.settled and self._is_staged(spec, mount):
                stage = stage or Stage(self._stage_folder)
                source = stage.add(place)
            read_only = bool(mount.get("readOnly")) or place.read_only
            binds.append(Bind(source, mount["mountPath"], read_only, mount.get("propagation", "")))
        return Mounts(binds, stage)

    def bring(self, latest: Contents, clock: float) -> bool:
        """Let volumes show newer contents; return whether the disk took all of them."""
        taken = True
        for name, projection in self._projections.items():
            if not self.volumes[name].get("immutable"):
                try:
                    projection.update(latest.get(name, projection.files), clock)
                except OSError as error:
                    say("{} keeps its contents for now: {}".format(projection.folder, words(error)))
                    taken = False
        return taken

    def look(self, clock: float) -> str:
        """Clear old contents away; return the kubelet's words for an emptyDir that holds more than it may."""
        for projection in self._projections.values():
            projection.sweep(clock)
        return self._empty.exceeded(clock)

    def remove(self) -> None:
        """Remove what lies outside the job's folder."""
        self._empty.remove()

    def _place(self, spec: Dict[str, Any], mount: Dict[str, Any]) -> Place:
        volume = self.volumes[mount["volume"]]
        name, kind, sub_path = volume["name"], volume["kind"], mount.get("subPath", "")
        if kind == "files":
            # Only the runner writes here, so nothing moves: links (..data) can be followed now.
            place = Place(os.path.join(self.root, name), read_only=True)
            return sub_place(place, sub_path, name, 0, settled=True) if sub_path else place
        if kind == "path":
            place = site_place(volume, self.plan.get("protected") or [self._own()])
            settled = False
        else:
            place = Place(self._empty.folder(name, spec))
            settled = not self._can_be_swapped(spec["name"], name, sub_path)
        if not sub_path:
            return place
        mode = 0 if place.read_only else stat.S_IMODE(os.stat(place.path).st_mode)
        found = sub_place(place, sub_path, name, mode, settled)
        return found._replace(settled=is_settled(found.root, found.parts)) if kind == "path" else found

    def _own(self) -> str:
        return str(os.path.commonpath([self.plan["folder"], self.plan["spool"]]))

    def _can_be_swapped(self, container: str, volume: str, sub_path: str) -> bool:
        """Return whether another container that can run meanwhile mounts a folder above the subPath."""
        others = _beside(self.plan, container)
        parts = tuple(part for part in sub_path.split("/") if part)
        return any(others & self._above.get((volume, parts[:number]), set()) for number in range(len(parts)))

    def _is_staged(self, spec: Dict[str, Any], mount: Dict[str, Any]) -> bool:
        """Return whether a place that can be swapped is mounted by its descriptor.

        Straight on the host there are no mounts. Where a node has no user namespaces, or a launcher starts the
        container on other nodes, a whole volume is mounted by the path that was just looked at; a subPath is refused.
        """
        if self.plan["runtime"]["kind"] == "none":
            return False
        if self._can_stage is None:
            self._can_stage = can_stage()
        if self._can_stage and not spec.get("mpi"):
            return True
        if mount.get("subPath"):
            raise RunnerError(
                "subPath {!r} of volume {} could be swapped while it is mounted; {} cannot prevent it: {}".format(
                    mount["subPath"], mount["volume"], os.uname().nodename,
                    "the container runs on several nodes" if spec.get("mpi") else "it has no user namespaces",
                )
            )  # fmt: skip
        return False


def _mounted_folders(plan: Dict[str, Any]) -> "Dict[Tuple[str, Tuple[str, ...]], Set[str]]":
    """Return the names of the containers by what they mount: a volume, and the parts of the subPath."""
    found: Dict[Tuple[str, Tuple[str, ...]], Set[str]] = {}
    for spec in [*plan.get("initContainers", ()), *plan["containers"]]:
        for mount in spec.get("mounts", ()):
            parts = tuple(part for part in mount.get("subPath", "").split("/") if part)
            found.setdefault((mount["volume"], parts), set()).add(spec["name"])
    return found


def _beside(plan: Dict[str, Any], container: str) -> Set[str]:
    """Return the names of the containers that can run while the given one starts."""
    inits = plan.get("initContainers", ())
    names = {spec["name"] for spec in inits if spec.get("restartPolicy") == "Always"}
    if any(spec["name"] == container for spec in plan["containers"]):
        names |= {spec["name"] for spec in plan["containers"]}
    elif container in names:  # a sidecar is started again beside everyone
        names |= {spec["name"] for spec in [*inits, *plan["containers"]]}
    return names - {container}
