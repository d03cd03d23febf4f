"""The benchmark's side of the cluster: its namespace and pods, and a watch that notes when each phase was seen.

Requests go through the virtual kubelet's own client, so that the bare loop and the pods' way are of one kind.
"""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from benchmarks.figures import CannotMeasureError
from interlink.sidecars.mock.backend import RUN_SECONDS
from interlink.vk.apiserver.client import ApiServer
from interlink.vk.apiserver.errors import ApiError, ConflictError, NotFoundError
from interlink.vk.node.lease import FOLDER as LEASES

Json = dict[str, Any]

#: All namespaces of benchmarks, so that the next run finds what a killed one has left.
LABELS = {"app.kubernetes.io/part-of": "interlink-bench-vk"}
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
#: Whom the virtual kubelet and the benchmark's client speak as: service accounts, as those do who run in a cluster.
ACCOUNT, TOKEN_SECONDS = "bench", 6 * 3600
#: Requests under way at once.
AT_ONCE = 64


class _Metadata(msgspec.Struct):
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815 - the API's own name


class _Status(msgspec.Struct):
    phase: str = ""


class _Pod(msgspec.Struct):
    metadata: _Metadata
    status: _Status = msgspec.field(default_factory=_Status)


class _Event(msgspec.Struct):
    type: str
    object: _Pod


class Cluster:
    """One namespace, and the pods of one node in it."""

    def __init__(self, api: ApiServer, node: str) -> None:
        self.api = api
        self.node = node
        self.namespace = f"bench-vk-{uuid.uuid4().hex[:8]}"
        self.pods = f"/api/v1/namespaces/{self.namespace}/pods"

    async def prepare(self) -> None:
        """Remove what an earlier run has left, and make the namespace."""
        async for page, _ in self.api.pages("/api/v1/namespaces", {"labelSelector": _selector()}):
            for left in page:
                if not left["metadata"].get("deletionTimestamp"):
                    await self._remove(left["metadata"]["name"])
        metadata = {"name": self.namespace, "labels": LABELS, "annotations": {"node": self.node}}
        await self.api.post("/api/v1/namespaces", {"metadata": metadata})
        account = {"metadata": {"name": "default"}, "automountServiceAccountToken": False}
        with suppress(ConflictError):  # the controller has made it
            await self.api.post(self._accounts, account)

    async def token(self) -> str:
        """Make a service account that may do everything, and return its token, good for some hours."""
        await self.api.post(self._accounts, {"metadata": {"name": ACCOUNT}})
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        binding = {"metadata": {"name": self.namespace, "labels": LABELS}, "roleRef": role, "subjects": [subject]}
        await self.api.post(BINDINGS, binding)
        request = {"spec": {"expirationSeconds": TOKEN_SECONDS}}
        answer = await self.api.post(f"{self._accounts}/{ACCOUNT}/token", request)
        return str(answer["status"]["token"])

    @property
    def _accounts(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/serviceaccounts"

    async def remove(self) -> None:
        """Remove the node, the pods and the namespace; there is no virtual kubelet any more that would remove pods."""
        await self._remove(self.namespace)

    async def _remove(self, namespace: str) -> None:
        found = await self.api.get(f"/api/v1/namespaces/{namespace}")
        node = (found["metadata"].get("annotations") or {}).get("node") or ""
        await self.remove_pods(namespace)
        names = (f"/api/v1/nodes/{node}", f"{LEASES}/{node}", f"{BINDINGS}/{namespace}")
        for path in (*names, f"/api/v1/namespaces/{namespace}"):
            with suppress(NotFoundError):
                await self.remove_now(path, (await self.api.get(path))["metadata"]["uid"])

    async def remove_pods(self, namespace: str = "") -> None:
        """Remove all pods of the namespace by force, page by page."""
        path = f"/api/v1/namespaces/{namespace or self.namespace}/pods"
        found = [item["metadata"] async for page, _ in self.api.pages(path, {}) for item in page]
        await at_once(self.remove_now(f"{path}/{item['name']}", item["uid"]) for item in found)

    async def remove_now(self, path: str, uid: str) -> None:
        """Remove an object without a grace period, if it is still there."""
        with suppress(NotFoundError, ConflictError):
            await self.api.delete(path, uid=uid, grace_seconds=0)

    async def count_events(self) -> int:
        """Return how many events the namespace has."""
        found = await self.api.get(f"/api/v1/namespaces/{self.namespace}/events", {"limit": "1"})
        return len(found["items"]) + int(found["metadata"].get("remainingItemCount") or 0)

    async def events_settled(self) -> None:
        """Wait until no event has been written for two seconds: a hundred turns of the virtual kubelet's recorder."""
        before = -1
        while before != (now := await self.count_events()):
            before = now
            await asyncio.sleep(2)

    async def create(self, name: str, seconds: float | None = None) -> Json:
        """Create a pod that runs so long, for ever without a number; return it."""
        return await self.api.post(self.pods, self.pod(name, seconds))

    def pod(self, name: str, seconds: float | None = None) -> Json:
        """Return a pod as people write it."""
        container = {
            "name": "main",
            "image": "busybox",
            "command": ["/bin/sh", "-c", "exec work --input=/data/in --output=/data/out"],
            "env": [{"name": f"VARIABLE_{number}", "value": f"value {number}"} for number in range(10)],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {"app": "bench"},
                "annotations": {} if seconds is None else {RUN_SECONDS: str(seconds)},
            },
            "spec": {
                "nodeName": self.node,
                "restartPolicy": "Never",
                "containers": [container],
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "tolerations": [{"operator": "Exists"}],
            },
        }


class Watch:
    """Notes in epoch seconds when each pod's phases came, by UID; ``events`` is how many there were of any kind."""

    def __init__(self, cluster: Cluster, clock: Any) -> None:
        self.cluster = cluster
        self.clock = clock
        self.seen: dict[str, dict[str, float]] = {}
        self.events = 0
        self._waiting: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Watch":
        self._listening = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        await self._listening.wait()
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def until(self, uid: str, phase: str) -> None:
        """Wait until the pod was seen in the phase, "DELETED" for its end."""
        if phase not in self.seen.get(uid, {}):
            future = self._waiting.setdefault((uid, phase), asyncio.get_running_loop().create_future())
            await future

    async def _run(self) -> None:
        version = [version async for _, version in self.cluster.api.pages(self.cluster.pods, {})][-1]
        self._listening.set()
        while True:
            params = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "3000"}
            async for line in self.cluster.api.stream(self.cluster.pods, params, silence=3600):
                version = self._take(msgspec.json.decode(line, type=_Event)) or version

    def _take(self, event: _Event) -> str:
        uid = event.object.metadata.uid
        if event.type == "ERROR":
            raise CannotMeasureError("the benchmark's own watch has fallen behind")
        self.events += 1
        phase = "DELETED" if event.type == "DELETED" else event.object.status.phase
        self.seen.setdefault(uid, {}).setdefault(phase, self.clock())
        future = self._waiting.pop((uid, phase), None)
        if future and not future.done():
            future.set_result(None)
        return event.object.metadata.resourceVersion


def at_most(limit: int, count: int) -> int:
    """Return how many of so few may be under way at once, that there is a time in which one begins as another ends."""
    return max(1, min(limit, count // 2))


async def at_once(coroutines: Iterator[Any], limit: int = AT_ONCE) -> list[Any]:
    """Run the coroutines, so many at a time; return what they return, in no order. Raises CannotMeasureError."""
    results = []

    async def work() -> None:
        for coroutine in coroutines:
            result = await coroutine
            results.append(result)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(work())
    except* ApiError as errors:
        raise CannotMeasureError(str(errors.exceptions[0])) from errors
    return results


def _selector() -> str:
    return ",".join(f"{key}={value}" for key, value in LABELS.items())
