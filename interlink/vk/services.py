"""The cluster's Services as every container is told of them: NAME_SERVICE_HOST, NAME_SERVICE_PORT and their kin.

Filled by a reflector that ``main.py`` runs, read for each new pod. Source of the names: kubelet's pkg/kubelet/envvars,
and of the choice: its getServiceEnvVarMap. Invariant: no pod is sent before the Services were listed once, or the API
has refused to list them (rights of an older installation): then only the API server's own variables are told.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from interlink.vk.apiserver.errors import ApiError

log = logging.getLogger(__name__)

Json = dict[str, Any]

PATH = "/api/v1/services"
#: The Service that each pod is told of, whatever its namespace and enableServiceLinks say.
MASTER = ("default", "kubernetes")
_FALLBACK = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBERNETES_SERVICE_PORT_HTTPS")
_NO_NAME = re.compile(r"[.-]")


@dataclass(frozen=True, slots=True)
class Service:
    """The few fields of a v1.Service that variables are made of; ``ports`` are (name, protocol, number)."""

    uid: str
    namespace: str
    name: str
    address: str
    ports: tuple[tuple[str, str, int], ...]

    @classmethod
    def from_object(cls, found: Json) -> "Service":
        """Take a v1.Service; one without an address of its own (headless, ExternalName) has an empty one."""
        metadata, spec = found["metadata"], found.get("spec") or {}
        address = spec.get("clusterIP") or ""
        ports = spec.get("ports") or []
        return cls(
            uid=metadata["uid"],
            namespace=metadata["namespace"],
            name=metadata["name"],
            address="" if address == "None" else address,
            ports=tuple((port.get("name") or "", port.get("protocol") or "TCP", int(port["port"])) for port in ports),
        )

    def variables(self) -> dict[str, str]:
        """Return the variables of this Service: its host and ports, and those of Docker's links."""
        if not self.address or not self.ports:
            return {}
        prefix = _variable(self.name)
        found = {f"{prefix}_SERVICE_HOST": self.address, f"{prefix}_SERVICE_PORT": str(self.ports[0][2])}
        for name, _, number in self.ports:
            if name:
                found[f"{prefix}_SERVICE_PORT_{_variable(name)}"] = str(number)
        host = f"[{self.address}]" if ":" in self.address else self.address
        for index, (_, protocol, number) in enumerate(self.ports):
            url = f"{protocol.lower()}://{host}:{number}"
            if index == 0:
                found[f"{prefix}_PORT"] = url
            port = f"{prefix}_PORT_{number}_{protocol.upper()}"
            found |= {
                port: url,
                f"{port}_PROTO": protocol.lower(),
                f"{port}_PORT": str(number),
                f"{port}_ADDR": self.address,
            }
        return found


class Services:
    """All Services; the reflector's handler. ``environ`` is this process's own, for where they cannot be listed."""

    def __init__(self, apiserver: Service | None, environ: Mapping[str, str]) -> None:
        #: Where compute nodes reach kube-apiserver, if that is not the cluster's own address of it.
        self.apiserver = apiserver
        self.environ = environ
        #: Whether pods can be told: the list came, or it never will.
        self.known = False
        #: Called once they are known.
        self.listeners: list[Callable[[], None]] = []
        self._by_namespace: dict[str, dict[str, Service]] = {}

    def variables(self, namespace: str, *, links: bool) -> dict[str, str]:
        """Return the variables of a pod's containers; ``links`` is its enableServiceLinks."""
        master = self.apiserver or self._by_namespace.get(MASTER[0], {}).get(MASTER[1])
        chosen = {} if master is None else {MASTER[1]: master}
        if links:
            own = self._by_namespace.get(namespace, {})
            chosen |= {name: own[name] for name in sorted(own) if (namespace, name) != MASTER}
        found = {} if master else {name: self.environ[name] for name in _FALLBACK if self.environ.get(name)}
        for service in chosen.values():
            found |= service.variables()
        return found

    def replace(self, items: list[Service]) -> None:
        """Take the complete list."""
        self._by_namespace = {}
        for item in items:
            self.upsert(item)
        self._told()

    def upsert(self, item: Service) -> None:
        """Take an added or changed Service."""
        self._by_namespace.setdefault(item.namespace, {})[item.name] = item

    def remove(self, item: Service) -> None:
        """Drop a Service."""
        self._by_namespace.get(item.namespace, {}).pop(item.name, None)

    def refused(self, error: ApiError) -> None:
        """Take the API's word that they may not be listed: pods go without them, as they did before."""
        if not self.known:
            log.warning("pods are told of no Services, for they may not be listed: %s", error)
        self._told()

    def _told(self) -> None:
        if not self.known:
            self.known = True
            for listener in self.listeners:
                listener()


def apiserver_at(host: str, port: int) -> Service:
    """Return the API server as a Service at this address."""
    return Service("", *MASTER, host, (("https", "TCP", port),))


def _variable(name: str) -> str:
    text = _NO_NAME.sub("_", name).upper()
    return f"_{text}" if text[:1].isdigit() else text
