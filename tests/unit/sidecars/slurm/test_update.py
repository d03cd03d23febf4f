"""Newer contents of volumes: what the runner finds in the job's folder, and for whom nothing is left there."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlink.core.plan import PlanContents
from interlink.sidecars.backend import NotFound, Refused, Unavailable
from interlink.sidecars.slurm.update import Updater
from interlink.wire.messages import RetrievedContainer, RetrievedPodData
from interlink.wire.pod import VolumeMount
from tests.unit.sidecars.slurm.bench import UID, Bench, make_pod

VOLUMES: list[dict[str, Any]] = [
    {"name": "c", "configMap": {"name": "m"}},
    {"name": "e", "emptyDir": {}},
    {"name": "h", "hostPath": {"path": "/not/open"}},
]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def request(text: str | None) -> RetrievedPodData:
    pod = make_pod(volumes=VOLUMES)
    pod.spec.containers[0].volumeMounts = [VolumeMount(name=name, mountPath=f"/{name}") for name in ("c", "e", "h")]
    maps = [] if text is None else [{"metadata": {"name": "m"}, "data": {"k": text}}]
    return RetrievedPodData(pod=pod, container=[RetrievedContainer(name="first", configMaps=maps)])


def test_the_contents_lie_in_the_jobs_folder_for_its_user_alone(bench: Bench) -> None:
    bench.create()
    Updater(bench.folders, bench.table).update(request("new"))
    path = bench.folders.job(UID) / "volumes.json"
    (volume,) = msgspec.json.decode(path.read_bytes(), type=PlanContents).volumes
    assert (volume.name, [(file.path, base64.b64decode(file.data)) for file in volume.files]) == ("c", [("k", b"new")])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_pod_without_a_job_gets_nothing(bench: Bench) -> None:
    with pytest.raises(NotFound, match=UID):
        Updater(bench.folders, bench.table).update(request("new"))
    assert not bench.folders.job(UID).exists()


def test_contents_that_are_missing_are_refused_and_leave_the_old_ones(bench: Bench) -> None:
    bench.create()
    updater = Updater(bench.folders, bench.table)
    updater.update(request("new"))
    before = (bench.folders.job(UID) / "volumes.json").read_bytes()
    with pytest.raises(Refused, match='volume "c": ConfigMap "m" did not come'):
        updater.update(request(None))
    assert (bench.folders.job(UID) / "volumes.json").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_asked_for_again(bench: Bench) -> None:
    bench.create()
    bench.folders.remove_job(UID)
    with pytest.raises(Unavailable, match="the job's folder cannot be written"):
        Updater(bench.folders, bench.table).update(request("new"))
