"""What the end-to-end tests do with kubectl: pods of a test's own namespace, and what becomes of them."""

import json
import subprocess
from typing import Any

from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

Object = dict[str, Any]
SELECT_NODE: Object = {
    "nodeSelector": {"type": "virtual-kubelet"},
    "tolerations": [{"key": "virtual-node.interlink/no-schedule", "operator": "Exists"}],
}


class Cluster:
    """One namespace of the cluster, seen through kubectl."""

    def __init__(self, bed: Bed, namespace: str) -> None:
        self.bed = bed
        self.namespace = namespace

    def kubectl(self, *words: str, input: str | None = None, timeout: float = 120) -> str:  # noqa: A002 - as in Bed
        """Run kubectl in the namespace."""
        return self.bed.kubectl("--namespace", self.namespace, *words, input=input, timeout=timeout)

    def apply(self, *objects: Object) -> None:
        """Apply objects."""
        self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, kind: str, name: str) -> Object:
        """Return an object as it is now."""
        found: Object = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def pod(self, name: str) -> Object:
        """Return the pod as it is now."""
        return self.get("pod", name)

    def pods(self) -> list[Object]:
        """Return all pods of the namespace."""
        found: list[Object] = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        return found

    def start(self, name: str, **spec: Any) -> Object:
        """Create a pod for the virtual node and return it."""
        annotations = spec.pop("annotations", {})
        self.apply(pod(name, annotations=annotations, **spec))
        return self.pod(name)

    def wait_phase(self, name: str, *phases: str, within: float = 90) -> Object:
        """Wait until the pod is in one of the phases, and return it."""
        return wait_for(
            f"pod {name} to be {' or '.join(phases)}",
            lambda: self.pod(name),
            lambda seen: seen.get("status", {}).get("phase") in phases,
            within,
        )

    def wait_condition(self, kind: str, name: str, *types: str, within: float = 180) -> Object:
        """Wait until one of these conditions of an object is true, and return the object."""
        return wait_for(
            f"{kind} {name} to be {' or '.join(types)}",
            lambda: self.get(kind, name),
            lambda found: bool(conditions(found).keys() & set(types)),
            within,
        )

    def wait_gone(self, name: str, within: float = 90) -> None:
        """Wait until there is no such pod."""
        wait_for(
            f"pod {name} to be gone",
            lambda: self.kubectl("get", "pod", name, "--ignore-not-found", "-o", "name"),
            lambda seen: not seen,
            within,
        )

    def waiting(self, name: str) -> Object:
        """Return the waiting state of the pod's first container, empty where it does not wait."""
        statuses = self.pod(name).get("status", {}).get("containerStatuses") or [{}]
        state: Object = statuses[0].get("state", {}).get("waiting", {})
        return state

    def logs(self, name: str, *options: str) -> str:
        """Return kubectl logs."""
        return self.kubectl("logs", name, *options)

    def follow(self, name: str, *options: str) -> "subprocess.Popen[str]":
        """Start kubectl logs -f."""
        command = [str(self.bed.paths.bin / "kubectl"), f"--kubeconfig={self.bed.kubeconfig}",
                   "--namespace", self.namespace, "logs", "-f", name, *options]  # fmt: skip
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def log_of_end(self, name: str, *words: str, container: str = "main") -> str:
        """Have kubectl end the pod once its log is followed, and return the log from its begin to its end."""
        with self.follow(name, "-c", container) as reader:
            assert reader.stdout is not None
            # The object may go soon after the words, and nobody can follow its log then.
            first = reader.stdout.readline()
            self.kubectl(*words)
            return first + reader.stdout.read()

    def events(self, name: str) -> list[Object]:
        """Return the pod's events."""
        selector = f"involvedObject.name={name}"
        found: list[Object] = json.loads(self.kubectl("get", "events", f"--field-selector={selector}", "-o", "json"))[
            "items"
        ]
        return found


def pod(name: str, annotations: Object | None = None, **spec: Any) -> Object:
    """Return a pod for the virtual node; one busybox container unless ``containers`` says otherwise."""
    containers = spec.pop("containers", None) or [container(spec.pop("script"))]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"restartPolicy": "Never", **SELECT_NODE, **spec, "containers": containers},
    }


def container(script: str, name: str = "main", **fields: Any) -> Object:
    """Return a busybox container that runs a shell script."""
    small = {"requests": {"cpu": "1", "memory": "64Mi"}}
    return {
        "name": name,
        "image": "busybox",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "resources": small,
        **fields,
    }


def terminated(found: Object, index: int = 0) -> Object:
    """Return the terminated state of one of the pod's containers."""
    state: Object = found["status"]["containerStatuses"][index]["state"]["terminated"]
    return state


def conditions(found: Object) -> dict[str, str]:
    """Return the reasons of an object's true conditions."""
    true = [each for each in found.get("status", {}).get("conditions", ()) if each["status"] == "True"]
    return {each["type"]: each.get("reason", "") for each in true}
