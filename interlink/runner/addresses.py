"""The node's address, put into a plan where the pod asks for its own: only here is it known. Called by ``pod.py``."""

from typing import Any, Dict


def with_address(plan: Dict[str, Any], address: str) -> Dict[str, Any]:
    """Return the plan with the address in the place of its token: in environments, command lines and sub-paths."""
    token = plan.get("addressToken")
    if not token:
        return plan

    def known(spec: Dict[str, Any]) -> Dict[str, Any]:
        spec = dict(spec)
        for field in ("command", "args"):
            if spec.get(field):
                spec[field] = [word.replace(token, address) for word in spec[field]]
        spec["env"] = [(name, value.replace(token, address)) for name, value in spec.get("env", ())]
        spec["mounts"] = [
            dict(mount, subPath=mount.get("subPath", "").replace(token, address)) for mount in spec.get("mounts", ())
        ]
        return spec

    parts = {part: [known(spec) for spec in plan.get(part) or ()] for part in ("initContainers", "containers")}
    return dict(plan, **parts)
