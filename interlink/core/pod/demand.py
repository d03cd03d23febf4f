"""How a pod's containers add up, by the Kubernetes scheduler's rule (k8s.io/component-helpers/resource). Pure.

Called by ``core.job.resources`` for the job's size and by the virtual kubelet's admission for the node's room.
"""

from collections.abc import Iterable

from interlink.core.quantity import Amount


def containers_demand(init: Iterable[tuple[Amount, bool]], containers: Iterable[Amount]) -> Amount:
    """Sum one resource: containers together, init containers one by one, sidecars beside all that follow.

    ``init`` has each init container's amount, in the pod's order, and whether it is a sidecar (restartPolicy Always).
    """
    sidecars: Amount = 0
    peak: Amount = 0
    for amount, is_sidecar in init:
        peak = max(peak, sidecars + amount)
        if is_sidecar:
            sidecars += amount
    return max(peak, sum(containers, sidecars))
