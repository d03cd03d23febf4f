"""A pod with each field that the table of support speaks of, sent to the sidecar as the InterLink API does."""

import re
from pathlib import Path
from typing import Any

import falcon.testing
import msgspec
import pytest

from interlink.core.job.identity import Account
from interlink.core.pod.build import PlanSettings
from interlink.core.pod.runtime import Runtimes
from interlink.core.pod.support import Row
from interlink.core.pod.support.volumes import REFUSED_SOURCES
from interlink.sidecars.app import build_app
from interlink.sidecars.slurm.accounts import HostAccounts
from tests.unit.core.pod.spoken import IGNORED, PLAIN, REFUSED, container, volume
from tests.unit.core.pod.test_support import as_pattern, row_of
from tests.unit.sidecars.slurm.bench import UID, Bench

Json = dict[str, Any]
SOURCES = {("Volume", name): volume(**{name: {"server": "s"}}) for name in REFUSED_SOURCES}


class Users(HostAccounts):
    """A service that runs as nobody in particular."""

    def own(self) -> Account:
        return Account(name="service", uid=990, gid=990)


class Site:
    """A sidecar with nothing but create."""

    def __init__(self, bench: Bench) -> None:
        self.create = bench.submitter.create


def bench_of(folder: Path) -> Bench:
    return Bench(folder, accounts=Users(), plan=PlanSettings(runtimes=Runtimes(allow_host=True)))


def runtime_of(row: Row) -> dict[str, str]:
    """Return the annotation of a runtime that does not do what the row is about."""
    return {"slurm-job.vk.io/container-runtime": "none"} if row.under else {}


def send(bench: Bench, spec: Json, **annotations: str) -> falcon.testing.Result:
    metadata = {"name": "p", "namespace": "ns", "uid": UID, "annotations": annotations}
    pod = {"metadata": metadata, "spec": {**container(), **spec}}
    pod["spec"]["containers"] = [{"command": ["true"], **each} for each in pod["spec"]["containers"]]
    client = falcon.testing.TestClient(build_app(Site(bench)))  # type: ignore[arg-type]
    return client.simulate_post("/create", body=msgspec.json.encode({"pod": pod, "container": []}))


@pytest.mark.parametrize(("key", "spec"), {**REFUSED, **SOURCES}.items())
def test_a_refused_field_fails_the_pod_with_the_tables_words(key: tuple[str, str], spec: Json, tmp_path: Path) -> None:
    row = row_of(*key)
    bench = bench_of(tmp_path)
    answer = send(bench, spec, **runtime_of(row))
    assert (answer.status_code, answer.json["title"]) == (422, "UnsupportedPod")
    words = row.refused if row.elsewhere else f"{row.field} {row.refused}"
    assert re.search(as_pattern(words), answer.json["description"]), answer.json
    assert bench.driver.calls == []


@pytest.mark.parametrize(("key", "spec"), IGNORED.items())
def test_an_ignored_field_is_answered_with_the_tables_words(key: tuple[str, str], spec: Json, tmp_path: Path) -> None:
    row = row_of(*key)
    bench = bench_of(tmp_path)
    first, again = (send(bench, spec, **runtime_of(row)) for _ in range(2))
    assert first.status_code == 200, first.json
    assert [said for said in first.json["warnings"] if said.endswith(f"{row.field} {row.ignored}")]
    assert again.json == first.json, "whoever lost the first answer is told again"
    assert len(bench.driver.requests) == 1


def test_a_pod_of_which_all_is_done_is_answered_as_the_protocol_has_it(tmp_path: Path) -> None:
    answer = send(bench_of(tmp_path), PLAIN)
    assert answer.json == {"PodUID": UID, "PodJID": "1"}


def test_what_a_caller_puts_in_the_place_of_the_spec_counts_nothing(tmp_path: Path) -> None:
    pod = {"metadata": {"name": "p", "namespace": "ns", "uid": UID}, "spec": {**container(), "hostPID": True}}
    client = falcon.testing.TestClient(build_app(Site(bench_of(tmp_path))))  # type: ignore[arg-type]
    body = {"pod": pod, "container": [], "written": container()}
    assert client.simulate_post("/create", body=msgspec.json.encode(body)).status_code == 422
