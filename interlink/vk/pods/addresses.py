"""A pod's own address before anybody knows it. Pure; called before a pod's environment is resolved."""

from typing import Any

from interlink.wire.messages import address_token

Json = dict[str, Any]


def with_address(pod: Json) -> Json:
    """Return the pod with the token of its address in its status, which the plugin replaces; changes nothing else."""
    token = address_token(pod["metadata"]["uid"])
    single = [{"ip": token}]
    addresses = {"hostIP": token, "hostIPs": single, "podIP": token, "podIPs": single}
    return {**pod, "status": {**(pod.get("status") or {}), **addresses}}
