"""Newer contents of volumes: what the runner finds in the job's folder, and for whom nothing is left there."""

import base64
from concurrent.futures import ThreadPoolExecutor
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


def other(text: str, *volumes: str) -> RetrievedPodData:
    """Return an update of these volumes of a pod with two."""
    pod = make_pod(volumes=[{"name": name, "configMap": {"name": f"m-{name}"}} for name in volumes])
    pod.spec.containers[0].volumeMounts = [VolumeMount(name=name, mountPath=f"/{name}") for name in ("c", "d")]
    maps = [{"metadata": {"name": f"m-{name}"}, "data": {"k": text}} for name in volumes]
    return RetrievedPodData(pod=pod, container=[RetrievedContainer(name="first", configMaps=maps)])


def shown(bench: Bench) -> dict[str, bytes]:
    found = msgspec.json.decode((bench.folders.job(UID) / "volumes.json").read_bytes(), type=PlanContents)
    return {volume.name: base64.b64decode(volume.files[0].data) for volume in found.volumes}


def test_volumes_that_an_update_does_not_name_keep_what_earlier_ones_brought(bench: Bench) -> None:
    bench.create()
    updater = Updater(bench.folders, bench.table)
    updater.update(other("1", "c", "d"))
    updater.update(other("2", "d"))
    assert shown(bench) == {"c": b"1", "d": b"2"}
    updater.update(other("3", "c"))
    assert shown(bench) == {"c": b"3", "d": b"2"}


@pytest.mark.parametrize(
    "left",
    [b"", b"{", b"[]", b'{"volumes": 3}', b'{"volumes": "\xff"}', b'{"volumes": [{"name": "c"}]}', b"[" * 5000],
)
def test_contents_that_are_not_readable_begin_anew(bench: Bench, left: bytes) -> None:
    bench.create()
    bench.folders.write_contents(UID, left)
    Updater(bench.folders, bench.table).update(other("1", "c"))
    assert shown(bench) == {"c": b"1"}


def test_updates_side_by_side_lose_nothing_of_one_another(bench: Bench) -> None:
    bench.create()
    updater = Updater(bench.folders, bench.table)
    for number in range(20):
        with ThreadPoolExecutor(2) as threads:
            for name in ("c", "d"):
                threads.submit(updater.update, other(str(number), name))
        assert shown(bench) == {"c": b"%d" % number, "d": b"%d" % number}


def test_a_folder_that_cannot_be_written_is_asked_for_again(bench: Bench) -> None:
    bench.create()
    bench.folders.remove_job(UID)
    with pytest.raises(Unavailable, match="the job's folder cannot be read and written"):
        Updater(bench.folders, bench.table).update(request("new"))
