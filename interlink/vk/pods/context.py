"""What the steps of a pod's life work with: one bundle, made once by ``main.py``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.edge.book import StatusBook
from interlink.vk.edge.client import EdgeClient
from interlink.vk.edge.link import Link
from interlink.vk.events.recorder import Events
from interlink.vk.pods.entrance import Entrance
from interlink.vk.pods.queue import WorkQueue
from interlink.vk.pods.store import PodStore
from interlink.vk.pods.writer import StatusWriter
from interlink.vk.services import Services
from interlink.vk.volumes.contents import Sources


@dataclass
class Context:
    """The pod controller's surroundings."""

    api: ApiServer
    edge: EdgeClient
    link: Link
    book: StatusBook
    store: PodStore
    queue: WorkQueue
    events: Events
    writer: StatusWriter
    sources: Sources
    entrance: Entrance
    #: The cluster's Services, of which containers are told by variables.
    services: Services
    #: The node's allocatable amounts, for resourceFieldRef without a limit.
    allocatable: Callable[[], Mapping[str, str]] = dict
    #: Whether the node takes no pods any more, its walltime being nearly over.
    closed: Callable[[], bool] = lambda: False
    #: Annotations of every pod that goes to the edge: for which part of the site the node stands.
    place: Callable[[], Mapping[str, str]] = dict
