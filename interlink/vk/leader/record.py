"""What a Lease says of who leads, and what is written into it.

Pure; called by ``election.py``. The rules are those of client-go's leaderelection: other replicas' clocks are never
believed, so that a lease has expired when *this* replica has seen it unchanged for as long as it says.
"""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

#: A lease that somebody made without a duration counts as one of client-go's.
DEFAULT_SECONDS = 15


@dataclass(frozen=True)
class Timing:
    """A term's times, in seconds; the defaults are those of kube-scheduler and kube-controller-manager."""

    #: How long the others wait after the last renewal that they have seen. Whole seconds, as the API has it.
    lease: int = 15
    #: How long a leader works after its last renewal; the rest of ``lease`` is for what it had under way.
    renew: float = 10.0
    #: Pause between two looks, or two renewals.
    retry: float = 2.0


@dataclass(frozen=True)
class Seen:
    """A Lease as it was read, and when it was first read like this, by this replica's own clock."""

    lease: Json
    at: float

    @property
    def spec(self) -> Json:
        """The Lease's spec."""
        return self.lease.get("spec") or {}

    @property
    def holder(self) -> str:
        """Who leads, empty where nobody does."""
        return str(self.spec.get("holderIdentity") or "")

    @property
    def expires(self) -> float:
        """When the lease will have expired, if it stays as it is."""
        return self.at + float(self.spec.get("leaseDurationSeconds") or DEFAULT_SECONDS)

    def is_free(self, identity: str, now: float) -> bool:
        """Whether this replica may take it."""
        return self.holder in ("", identity) or now >= self.expires


def seen_again(before: Seen | None, lease: Json, now: float) -> Seen:
    """Return what is known after another look: a Lease that nobody renewed keeps the time when it was first seen."""
    same = before is not None and _renewal(before.lease) == _renewal(lease)
    return Seen(lease, before.at if before and same else now)


def new_lease(namespace: str, name: str) -> Json:
    """Return a Lease that nobody has held yet."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}


def taken(lease: Json, identity: str, timing: Timing, now: str) -> Json:
    """Return the Lease as this replica writes it to lead, or to go on leading; ``now`` is metav1.MicroTime."""
    spec = dict(lease.get("spec") or {})
    if spec.get("holderIdentity") != identity:
        transitions = int(spec["leaseTransitions"]) + 1 if "leaseTransitions" in spec else 0
        spec |= {"acquireTime": now, "leaseTransitions": transitions}
    return _with_spec(
        lease, {**spec, "holderIdentity": identity, "leaseDurationSeconds": timing.lease, "renewTime": now}
    )


def released(seen: Seen, now: str) -> Json:
    """Return the Lease without a holder, so that another replica need not wait for its end."""
    return _with_spec(
        seen.lease, {**seen.spec, "holderIdentity": "", "leaseDurationSeconds": 1, "acquireTime": now, "renewTime": now}
    )


def _with_spec(lease: Json, spec: Json) -> Json:
    metadata = {key: value for key, value in lease["metadata"].items() if key != "managedFields"}
    return {**lease, "metadata": metadata, "spec": spec}


def _renewal(lease: Json) -> tuple[str, Json]:
    return str(lease["metadata"].get("uid") or ""), lease.get("spec") or {}
