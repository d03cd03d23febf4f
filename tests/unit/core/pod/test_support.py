"""The table of support: complete, and no word in it that a pod's author would not see."""

import re
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import models

from interlink.core.pod.runtime import RUNTIME_KINDS
from interlink.core.pod.support import TYPES, Row, ignored, refused
from interlink.core.pod.support.model import NEVER
from interlink.core.pod.support.page import page
from interlink.core.pod.support.volumes import REFUSED_SOURCES
from tests.demo.project import ROOT
from tests.unit.core.pod.spoken import IGNORED, PLAIN, REFUSED, REFUSED_AT_ONCE, container

HOST = "none"
ROWS = [(name, row) for name, rows in TYPES.items() for row in rows]
#: Of the API's types, those that the table has under two names.
ALIASES = {"PodResources": "ResourceRequirements"}


def as_pattern(words: str) -> str:
    """Return the pattern of the table's words; "…" stands for what differs."""
    return ".*".join(map(re.escape, words.split("…")))


def test_each_row_says_what_becomes_of_the_field_and_leads_to_rows() -> None:
    for name, row in ROWS:
        assert row.done or row.refused or row.ignored, (name, row.field)
        assert not row.of or row.of in TYPES, (name, row.field)
        assert not (row.refused and row.ignored), "one test of the value serves one verdict"
    assert len({(name, row.field) for name, row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("name", TYPES)
def test_every_field_of_the_newest_kubernetes_client_has_a_row(name: str) -> None:
    model = getattr(models, "V1" + ALIASES.get(name, name))
    known = set(model.attribute_map.values())
    rows = {row.field: row for row in TYPES[name]}
    assert known <= set(rows), f"fields of v1.{name} that nobody has thought of"
    gone = {field for field, row in rows.items() if row.until}
    assert set(rows) - known == gone, f"fields that v1.{name} has not"
    for attribute, kind in model.openapi_types.items():
        row = rows[model.attribute_map[attribute]]
        of_its_own = re.sub(r"^List\[(.*)]$", r"\1", kind)
        if of_its_own.startswith("V1") and row.done and not row.cluster:
            assert row.of, f"v1.{name}.{row.field} has fields of its own, which need rows"


@pytest.mark.parametrize("key", sorted({(name, row.field) for name, row in ROWS if row.refused}))
def test_every_refused_field_has_a_pod_in_these_tests(key: tuple[str, str]) -> None:
    assert key in {**REFUSED, **REFUSED_AT_ONCE} or key[1] in REFUSED_SOURCES or key == ("HostPathVolumeSource", "type")


@pytest.mark.parametrize(
    "key", sorted({(name, row.field) for name, row in ROWS if row.ignored and row.when is not NEVER})
)
def test_every_ignored_field_has_a_pod_in_these_tests(key: tuple[str, str]) -> None:
    assert key in IGNORED


@pytest.mark.parametrize(("key", "spec"), IGNORED.items())
def test_an_ignored_field_is_named_and_refuses_nothing(key: tuple[str, str], spec: dict[str, Any]) -> None:
    row = row_of(*key)
    assert refused({**container(), **spec}) == ""
    (said,) = ignored({**container(), **spec}, HOST if row.under else "apptainer")
    assert said.endswith(f"{row.field} {row.ignored}")


def test_what_a_runtime_does_is_said_under_the_others_alone() -> None:
    spec = container(securityContext={"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True})
    assert [len(ignored(spec, kind)) for kind in ("apptainer", "podman-hpc", "enroot", HOST)] == [0, 0, 1, 2]
    spec = {**container(), **IGNORED["PodSpec", "hostname"], **REFUSED["PodSpec", "hostAliases"]}
    assert (ignored(spec), refused(spec)) == ([], "")
    assert (len(ignored(spec, HOST)), "hostAliases" in refused(spec, HOST)) == (1, True)
    for _, row in ROWS:
        assert set(row.under) <= set(RUNTIME_KINDS.values())
        assert not row.under or ((row.ignored or row.refused) and row.done)


def test_a_pod_of_which_all_is_done_is_told_nothing() -> None:
    assert (refused(PLAIN), ignored(PLAIN)) == ("", [])


def test_what_several_containers_ask_for_in_vain_is_said_once() -> None:
    context = {"securityContext": {"procMount": "Unmasked"}}
    spec = {
        "initContainers": [{"name": "first", **context}],
        "containers": [{"name": "main", **context}, {"name": "x"}],
    }
    assert ignored(spec) == ['container "first", container "main": securityContext.procMount '
                             + row_of("SecurityContext", "procMount").ignored]  # fmt: skip


def test_a_field_that_is_newer_than_the_table_is_said_to_have_no_effect() -> None:
    assert ignored({**container(), "teleport": True, "quiet": None, "empty": {}}) == [
        "the pod's teleport is not known to this edge, and has no effect"
    ]
    assert ignored(container(lifecycle={"preStop": {"sleep": {"seconds": 1}, "warp": 9}})) == [
        'container "main": lifecycle.preStop.warp is not known to this edge, and has no effect'
    ]


@pytest.mark.parametrize(
    "spec", [{"containers": "x"}, {"containers": ["x"]}, {"containers": None}, {"volumes": [{"emptyDir": 7}]}]
)
def test_what_is_malformed_is_left_to_those_who_read_it(spec: dict[str, Any]) -> None:
    assert (refused(spec), ignored(spec)) == ("", [])


def test_a_long_value_is_cut() -> None:
    words = refused({"containers": [{"name": "n" * 999, "securityContext": {"capabilities": {"add": ["A" * 999]}}}]})
    assert len(words) < 600


def test_the_page_in_the_documentation_is_the_tables() -> None:
    assert (ROOT / "docs" / "pod-api.md").read_text() == page() + "\n", "run `make docs`"


def test_the_page_has_every_row_and_leads_nowhere_else() -> None:
    text = page()
    for name, row in ROWS:
        assert f"## {name}\n" in text
        assert f"| `{row.field}`" in text
    for link in re.findall(r"]\(([a-z-]+\.md)\)", text):
        assert Path(ROOT / "docs" / link).exists()


def row_of(name: str, field: str) -> Row:
    return next(row for row in TYPES[name] if row.field == field)
