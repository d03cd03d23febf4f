"""What a pod says of names: its host name, /etc/hosts and /etc/resolv.conf → its part of the plan. Called by ``build``.

Source of the rules: kubelet's pkg/kubelet/network/dns and kubelet_pods.go. The cluster's own DNS is none of a compute
node's, so that dnsPolicy ClusterFirst is Default here.
"""

import ipaddress
import re

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanNames
from interlink.core.pod.support.pods import NAMING
from interlink.wire.pod import HostAlias, Pod, PodDNSConfig

#: DNS subdomain (RFC 1123), which a search list may end with a dot; Linux' host names have at most 64 characters.
_NAME = re.compile(r"[A-Za-z0-9_]([-A-Za-z0-9_.]{0,251}[A-Za-z0-9_])?\.?|\.", re.ASCII)
_HOSTNAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,62}[a-z0-9])?", re.ASCII)
_WORD = re.compile(r"[!-~]{0,200}", re.ASCII)


def plan_names(pod: Pod, runtime: str) -> PlanNames | None:
    """Return what is to be made of names under a runtime; None where nothing is, and the node's own serve.

    Raises UnsupportedPod for what would not be one line of a file.
    """
    spec = pod.spec
    hostname = spec.hostnameOverride or spec.hostname
    resolver = spec.dnsConfig is not None or spec.dnsPolicy == "None"
    if runtime not in NAMING or not (hostname or spec.hostAliases or resolver):
        return None
    if hostname and not _HOSTNAME.fullmatch(hostname):
        raise UnsupportedPod(f"the pod's hostname {hostname[:80]!r} is no name of a host")
    config = spec.dnsConfig or PodDNSConfig()
    return PlanNames(
        hostname=hostname,
        hosts=[(_address("hostAliases.ip", alias.ip), _hostnames(alias)) for alias in spec.hostAliases or ()],
        resolver=resolver,
        with_nodes=spec.dnsPolicy != "None",
        nameservers=[_address("dnsConfig.nameservers", item) for item in config.nameservers or ()],
        searches=[_name("dnsConfig.searches", item) for item in config.searches or ()],
        options=[(_word(item.name), _word(item.value or "")) for item in config.options or ()],
    )


def _hostnames(alias: HostAlias) -> list[str]:
    return [_name("hostAliases.hostnames", name) for name in alias.hostnames or ()]


def _address(field: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise UnsupportedPod(f"the pod's {field}: {text[:80]!r} is no address") from None


def _name(field: str, text: str) -> str:
    if not _NAME.fullmatch(text):
        raise UnsupportedPod(f"the pod's {field}: {text[:80]!r} is no DNS name")
    return text


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise UnsupportedPod(f"the pod's dnsConfig.options: {text[:80]!r} is not one word")
    return text
