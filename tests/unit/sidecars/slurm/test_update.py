"""Newer contents of volumes: what the runner finds in the job's folder, and for whom nothing is left there."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlink.core.plan import PlanImage, PlanUpdate
from interlink.core.pod.build import PlanSettings
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


def updates(bench: Bench) -> Updater:
    return Updater(PlanSettings(), bench.folders, bench.table)


def request(text: str | None) -> RetrievedPodData:
    pod = make_pod(volumes=VOLUMES)
    pod.spec.containers[0].volumeMounts = [VolumeMount(name=name, mountPath=f"/{name}") for name in ("c", "e", "h")]
    maps = [] if text is None else [{"metadata": {"name": "m"}, "data": {"k": text}}]
    return RetrievedPodData(pod=pod, container=[RetrievedContainer(name="first", configMaps=maps)])


def test_the_contents_lie_in_the_jobs_folder_for_its_user_alone(bench: Bench) -> None:
    bench.create()
    updates(bench).update(request("new"))
    path = bench.folders.job(UID) / "volumes.json"
    (volume,) = msgspec.json.decode(path.read_bytes(), type=PlanUpdate).volumes
    assert (volume.name, [(file.path, base64.b64decode(file.data)) for file in volume.files]) == ("c", [("k", b"new")])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_pod_without_a_job_gets_nothing(bench: Bench) -> None:
    with pytest.raises(NotFound, match=UID):
        updates(bench).update(request("new"))
    assert not bench.folders.job(UID).exists()


def test_contents_that_are_missing_are_refused_and_leave_the_old_ones(bench: Bench) -> None:
    bench.create()
    updater = updates(bench)
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
    found = msgspec.json.decode((bench.folders.job(UID) / "volumes.json").read_bytes(), type=PlanUpdate)
    return {volume.name: base64.b64decode(volume.files[0].data) for volume in found.volumes}


def test_volumes_that_an_update_does_not_name_keep_what_earlier_ones_brought(bench: Bench) -> None:
    bench.create()
    updater = updates(bench)
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
    bench.folders.write_update(UID, left)
    updates(bench).update(other("1", "c"))
    assert shown(bench) == {"c": b"1"}


def test_updates_side_by_side_lose_nothing_of_one_another(bench: Bench) -> None:
    bench.create()
    updater = updates(bench)
    for number in range(20):
        with ThreadPoolExecutor(2) as threads:
            for name in ("c", "d"):
                threads.submit(updater.update, other(str(number), name))
        assert shown(bench) == {"c": b"%d" % number, "d": b"%d" % number}


def test_a_folder_that_cannot_be_written_is_asked_for_again(bench: Bench) -> None:
    bench.create()
    bench.folders.remove_job(UID)
    with pytest.raises(Unavailable, match="the job's folder cannot be read and written"):
        updates(bench).update(request("new"))


def changed(images: tuple[str, str] = ("busybox", "busybox"), **spec: Any) -> RetrievedPodData:
    """Return an update of a pod without volumes that says other images, or another deadline."""
    pod = make_pod(**spec)
    for container, image in zip(pod.spec.containers, images, strict=True):
        container.image = image
    return RetrievedPodData(pod=pod)


def left(bench: Bench) -> PlanUpdate:
    return msgspec.json.decode((bench.folders.job(UID) / "volumes.json").read_bytes(), type=PlanUpdate)


def test_a_deadline_is_left_for_the_runner_and_never_grows_again(bench: Bench) -> None:
    bench.create()
    updater = updates(bench)
    updater.update(changed())
    assert left(bench).active_deadline_seconds is None
    for said, expected in ((600, 600), (60, 60), (600, 60), (None, 60), (-1, 0)):
        updater.update(changed(activeDeadlineSeconds=said))
        assert left(bench).active_deadline_seconds == expected


def test_a_deadline_and_contents_lose_nothing_of_one_another(bench: Bench) -> None:
    bench.create()
    updater = updates(bench)
    updater.update(other("1", "c"))
    updater.update(changed(activeDeadlineSeconds=60))
    updater.update(other("2", "c"))
    assert shown(bench) == {"c": b"2"}
    assert left(bench).active_deadline_seconds == 60


def test_images_that_are_not_the_plans_are_left_as_the_runtime_takes_them(bench: Bench) -> None:
    bench.create()
    updater = updates(bench)
    updater.update(changed(("busybox", "alpine:3")))
    assert left(bench).images == {"second": PlanImage(said="alpine:3", image="docker://alpine:3")}
    updater.update(changed())
    assert left(bench).images == {}, "taken back: the plan counts"


@pytest.mark.parametrize("image", ["", "--bind=/etc", "instance://other", "a/../b", "/proc/1/root", "{root}/shared"])
def test_an_image_that_a_create_would_refuse_is_refused_for_its_container_alone(bench: Bench, image: str) -> None:
    bench.create()
    image = image.format(root=bench.root)
    updates(bench).update(changed((image, "alpine:3"), activeDeadlineSeconds=60))
    update = left(bench)
    assert update.images["first"].image == ""
    assert 'container "first"' in update.images["first"].refused
    assert update.images["second"].image == "docker://alpine:3"
    assert update.active_deadline_seconds == 60


def test_an_image_root_that_is_none_refuses_changed_images_and_no_contents(bench: Bench) -> None:
    bench.create()
    request = other("1", "c")
    request.pod.metadata.annotations = {"slurm-job.vk.io/image-root": "../../etc"}
    updater = updates(bench)
    updater.update(request)
    assert (shown(bench), left(bench).images) == ({"c": b"1"}, {})
    request.pod.spec.containers[0].image = "alpine:3"
    updater.update(request)
    assert "image-root" in left(bench).images["first"].refused


def test_an_update_survives_the_sidecars_end(bench: Bench) -> None:
    bench.create()
    updates(bench).update(changed(("busybox", "alpine:3"), activeDeadlineSeconds=60))
    again = bench.restart()
    updates(again).update(other("1", "c"))
    assert left(again).active_deadline_seconds == 60
    assert left(again).images == {}, "each update says all images"
