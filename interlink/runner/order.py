"""In which order a pod's containers start and end. Called by ``pod.py``.

Init containers start one after another, each when the one before has succeeded or, being a sidecar (restartPolicy
Always), has started; then the containers in spec order, each when the one before was started or could not be. Sidecars
end after all others, the last one first. Source: the Kubernetes documentation (Init Containers, Sidecar Containers) and
the kubelet's terminationOrdering.
"""

from typing import TYPE_CHECKING, List

if TYPE_CHECKING:
    from interlink.runner.container import Container


class Order:
    """The order of one pod's containers."""

    def __init__(self, init: "List[Container]", main: "List[Container]") -> None:
        self.init, self.main = init, main
        self.sidecars = [container for container in init if container.role == "sidecar"]

    @property
    def initialized(self) -> bool:
        """Whether the containers' turn has come."""
        return all(container.passed for container in self.init)

    @property
    def failed(self) -> bool:
        """Whether an init container has failed for good: then nothing after it starts."""
        return any(container.done and not container.passed for container in self.init)

    @property
    def over(self) -> bool:
        """Whether nothing is left but the sidecars."""
        return self.failed or (self.initialized and all(container.done for container in self.main))

    def begun(self) -> "List[Container]":
        """Return the containers whose turn to start has come, in the order in which they start."""
        turn = []
        for container in [*self.init, *self.main]:
            turn.append(container)
            if not container.passed:
                break
        return turn

    def may_end(self, container: "Container") -> bool:
        """Return whether a container that shall end need not wait for others to end first."""
        if container.role != "sidecar":
            return True
        later = self.sidecars[self.sidecars.index(container) + 1 :]
        others = [each for each in [*self.init, *self.main] if each.role != "sidecar"]
        return not any(each.process is not None for each in [*others, *later])
