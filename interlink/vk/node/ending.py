"""What a virtual node does when its walltime is over: it ends the pods that are left, then goes itself.

Called by ``virtual_node.py``. Invariant: the node object is removed only when no pod of it lives and no job of one is
left behind, because Kubernetes drops the pods of a node that is not there.
"""

import logging

from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError, ConflictError, ForbiddenError, NotFoundError
from interlink.vk.backoff import Backoff
from interlink.vk.node.controller import NodeController
from interlink.vk.pods.store import PodStore

log = logging.getLogger(__name__)


async def end_pods(api: ApiServer, store: PodStore) -> bool:
    """Delete the pods that still live, each with its own grace period; return whether anything is left to wait for.

    Those that tolerate every taint are left: eviction by taint has ended the others.
    """
    living = [record for record in store.pods.values() if not record.terminal]
    for record in living:
        if record.deleting:
            continue
        grace = record.load()["spec"].get("terminationGracePeriodSeconds")
        log.info("pod %s: deleted, the node's walltime is over", record)
        try:
            await api.delete(record.path, uid=record.uid, grace_seconds=30 if grace is None else grace)
        except (NotFoundError, ConflictError) as error:
            log.info("pod %s: was deleted already: %s", record, error)
        except ApiError as error:
            log.warning("pod %s: not deleted: %s; trying again", record, error)
    return bool(living or store.gone) or not store.listed


async def remove_node(node: NodeController) -> None:
    """Remove the node object; where this process may not, it stays, not ready, and the log says so."""
    backoff = Backoff(0.5, 10.0)
    while True:
        try:
            await node.remove()
        except (ForbiddenError, ConflictError) as error:
            log.warning("node %s: not removed, remove it by hand: %s", node.settings.name, error)
        except ApiError as error:
            log.warning("node %s: not removed: %s; trying again", node.settings.name, error)
            await backoff.sleep(error.retry_after)
            continue
        return
