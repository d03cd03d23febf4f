"""The files by which a pod's containers look names up, where the pod says anything of them: /etc/hosts, resolv.conf.

Made anew by each run of the runner, because the node's own stand before the pod's, and bound to their places.
"""

import os
from typing import Any, Dict, List, Tuple

from interlink.runner.files import write_whole
from interlink.runner.runtimes.base import Bind

HOSTS, RESOLVER = "/etc/hosts", "/etc/resolv.conf"


class Names:
    """The pod's files of names; ``address`` is the node's, empty where it is not known."""

    def __init__(self, plan: Dict[str, Any], address: str) -> None:
        self.plan = plan.get("names") or {}
        self.address = address
        self.folder = os.path.join(plan["folder"], "names")
        self.made: Dict[str, str] = {}

    def binds(self, spec: Dict[str, Any]) -> List[Bind]:
        """Return what a container is to see; what it mounts there itself counts. Raises OSError."""
        if not self.made:
            self._make()
        taken = {mount["mountPath"].rstrip("/") for mount in spec.get("mounts", ())}
        return [Bind(path, place) for place, path in sorted(self.made.items()) if place not in taken]

    def _make(self) -> None:
        texts = {}
        if self.plan.get("hostname") or self.plan.get("hosts"):
            texts[HOSTS] = hosts(_text(HOSTS), self.plan, self.address)
        if self.plan.get("resolver"):
            texts[RESOLVER] = resolver(_text(RESOLVER) if self.plan.get("withNodes", True) else "", self.plan)
        if texts:
            os.makedirs(self.folder, 0o700, exist_ok=True)
        for place, text in texts.items():
            path = os.path.join(self.folder, os.path.basename(place))
            write_whole(path, text.encode("utf-8", "surrogateescape"))
            self.made[place] = path


def hosts(own: str, names: Dict[str, Any], address: str) -> str:
    """Return the text of /etc/hosts: the node's own, the pod's host name, its aliases."""
    lines = own.splitlines()
    if names.get("hostname"):
        lines += ["", "# The pod's own name.", "{}\t{}".format(address or "127.0.0.1", names["hostname"])]
    if names.get("hosts"):
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join([ip, *aliases]) for ip, aliases in names["hosts"]]
    return "\n".join(lines) + "\n"


def resolver(own: str, names: Dict[str, Any]) -> str:
    """Return the text of resolv.conf(5): the node's own, with what the pod adds; an option of the pod's counts."""
    servers, searches, options = _read(own)
    servers += [server for server in names.get("nameservers", ()) if server not in servers]
    searches += [search for search in names.get("searches", ()) if search not in searches]
    options.update(names.get("options", ()))
    lines = ["nameserver " + server for server in servers]
    lines += ["search " + " ".join(searches)] if searches else []
    words = [name + ":" + value if value else name for name, value in options.items()]
    lines += ["options " + " ".join(words)] if words else []
    return "\n".join(lines) + "\n"


def _read(text: str) -> Tuple[List[str], List[str], Dict[str, str]]:
    """Return nameservers, search list and options of a resolv.conf; the last search or domain counts."""
    servers: List[str] = []
    searches: List[str] = []
    options: Dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0][0] in "#;":
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = words[1:]
        elif words[0] == "options":
            options.update((name, value) for name, _, value in (word.partition(":") for word in words[1:]))
    return servers, searches, options


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""  # a node without one
