"""The files by which containers look names up: the node's own, and the pod's behind them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlink.core.plan import PlanNames
from interlink.runner import names as module
from interlink.runner.names import Names, hosts, resolver

OWN = "# ours\nnameserver 10.0.0.1\nnameserver 10.0.0.2\ndomain old\nsearch site.example\noptions ndots:0 timeout:1\n"


def plan(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(PlanNames(**fields))
    return found


def test_hosts_has_the_nodes_lines_the_pods_name_and_its_aliases() -> None:
    text = hosts("127.0.0.1\tlocalhost\n", plan(hostname="web-0", hosts=[("::1", ["a", "b"])]), "10.1.2.3")
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [
        "127.0.0.1\tlocalhost", "10.1.2.3\tweb-0", "::1\ta\tb",
    ]  # fmt: skip
    assert "127.0.0.1\tweb-0\n" in hosts("", plan(hostname="web-0"), ""), "a node whose address nobody knows"


def test_resolv_conf_has_what_the_pod_adds_behind_the_nodes_own_and_its_options_count() -> None:
    found = resolver(OWN, plan(
        resolver=True, nameservers=["10.0.0.2", "192.0.2.1"], searches=["a.example", "site.example"],
        options=[("ndots", "5"), ("rotate", "")],
    ))  # fmt: skip
    assert found.splitlines() == [
        "nameserver 10.0.0.1", "nameserver 10.0.0.2", "nameserver 192.0.2.1", "search site.example a.example",
        "options ndots:5 timeout:1 rotate",
    ]  # fmt: skip


def test_without_the_nodes_own_nothing_else_is_there() -> None:
    assert resolver("", plan(resolver=True, nameservers=["192.0.2.1"])) == "nameserver 192.0.2.1\n"


def test_only_what_the_pod_speaks_of_is_bound_and_its_own_mounts_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_text", lambda path: f"# {path}\n")
    nothing = Names({"folder": str(tmp_path)}, "10.1.2.3")
    assert nothing.binds({}) == []
    named = Names({"folder": str(tmp_path), "names": plan(hostname="web-0", resolver=True)}, "10.1.2.3")
    assert [bind.destination for bind in named.binds({})] == ["/etc/hosts", "/etc/resolv.conf"]
    mine = {"mounts": [{"volume": "v", "mountPath": "/etc/hosts/"}]}
    assert [bind.destination for bind in named.binds(mine)] == ["/etc/resolv.conf"]
    (bind, _) = named.binds({})
    assert "10.1.2.3\tweb-0" in Path(bind.source).read_text()
    pod_alone = Names({"folder": str(tmp_path), "names": plan(resolver=True, with_nodes=False)}, "")
    (bind,) = pod_alone.binds({})
    assert Path(bind.source).read_text() == "\n"
