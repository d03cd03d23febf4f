"""What a sidecar keeps of a pod: what its statuses repeat, and what a lost row of its database is built from.

Held for every living pod, so it is small; written into the job's plan, so it holds no secrets.
"""

from functools import lru_cache
from sys import intern

import msgspec

from interlink.wire.messages import CLUSTER_ANNOTATION
from interlink.wire.pod import Pod

Containers = tuple[tuple[str, str], ...]


class PodFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a status repeats of its pod; small, so that a sidecar can keep one for each pod."""

    namespace: str
    name: str
    uid: str
    cluster: str = ""
    node: str = ""
    #: The site's user who owns the job; empty is the service's own.
    user: str = ""
    #: (name, image) of each container, in the pod's order.
    containers: Containers = ()
    init_containers: Containers = ()
    #: v1.PodSpec.restartPolicy.
    restart_policy: str = ""

    def __post_init__(self) -> None:
        """Share the words that thousands of pods have alike: a third of what a waiting pod takes."""
        for name in ("namespace", "cluster", "node", "user", "restart_policy"):
            msgspec.structs.force_setattr(self, name, intern(getattr(self, name)))
        for name in ("containers", "init_containers"):
            msgspec.structs.force_setattr(self, name, _shared(getattr(self, name)))

    @classmethod
    def of(cls, pod: Pod) -> "PodFacts":
        """Return the facts of a pod."""
        return cls(
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            uid=pod.uid,
            cluster=pod.annotation(CLUSTER_ANNOTATION),
            node=pod.spec.nodeName,
            containers=tuple((item.name, item.image) for item in pod.spec.containers),
            init_containers=tuple((item.name, item.image) for item in pod.spec.initContainers or ()),
            restart_policy=pod.spec.restartPolicy,
        )


@lru_cache(maxsize=4096)
def _shared(containers: Containers) -> Containers:
    """Return the first ones that were equal to these."""
    return containers
