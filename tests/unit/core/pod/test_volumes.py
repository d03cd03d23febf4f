"""Volumes and their gathered contents → the plan's volumes."""

import base64
import contextlib
import posixpath
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanFile
from interlink.core.pod.paths import check_relative
from interlink.core.pod.volumes import plan_volumes
from interlink.wire.messages import RetrievedContainer


def _encoded(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def _config_map(name: str = "m", **fields: Any) -> RetrievedContainer:
    return RetrievedContainer(name="main", configMaps=[{"metadata": {"name": name}, **fields}])


def _files(volume: dict[str, Any], *shares: RetrievedContainer) -> dict[str, tuple[bytes, int]]:
    (planned,) = plan_volumes([{"name": "v", **volume}], shares, {"v"})
    assert planned.kind == "files"
    return {file.path: (base64.b64decode(file.data), file.mode) for file in planned.files}


def test_an_empty_dirs_medium_and_limit_are_kept_and_no_limit_is_zero() -> None:
    volumes = [
        {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1500k"}},
        {"name": "n", "emptyDir": {"sizeLimit": 0}},
        {"name": "f", "emptyDir": {"sizeLimit": "1.5"}},
    ]
    planned = [(item.medium, item.size_limit, item.size_text) for item in plan_volumes(volumes, None, {"m", "n", "f"})]
    assert planned == [("Memory", 1_500_000, "1500k"), ("", None, ""), ("", 2, "1.5")]


def test_an_empty_dir_has_no_files_and_a_volume_without_a_source_is_one() -> None:
    planned = plan_volumes([{"name": "a", "emptyDir": {"medium": "Memory"}}, {"name": "b"}], None, {"a", "b"})
    assert [(volume.name, volume.kind, volume.files) for volume in planned] == [
        ("a", "emptyDir", []),
        ("b", "emptyDir", []),
    ]


def test_every_key_of_a_config_map_is_a_file() -> None:
    share = _config_map(data={"a": "text ü\n"}, binaryData={"b": _encoded(b"\0\xff")})
    assert _files({"configMap": {"name": "m"}}, share) == {"a": ("text ü\n".encode(), 0o644), "b": (b"\0\xff", 0o644)}


def test_items_choose_name_and_mode_files() -> None:
    source = {"name": "m", "defaultMode": 0o600, "items": [{"key": "a", "path": "d/x"}, {"key": "b", "path": "y", "mode": 0o755}]}  # fmt: skip # noqa: E501
    assert _files({"configMap": source}, _config_map(data={"a": "1", "b": "2", "c": "3"})) == {
        "d/x": (b"1", 0o600),
        "y": (b"2", 0o755),
    }


def test_a_secrets_data_is_decoded_and_string_data_goes_over_it() -> None:
    secret = {
        "metadata": {"name": "s"},
        "data": {"a": _encoded(b"\1"), "b": _encoded("old")},
        "stringData": {"b": "new"},
    }
    share = RetrievedContainer(name="main", secrets=[secret])
    files = _files({"secret": {"secretName": "s", "defaultMode": 0o400}}, share)
    assert files == {"a": (b"\1", 0o400), "b": (b"new", 0o400)}


def test_projected_contents_come_by_the_volumes_name() -> None:
    contents = {"metadata": {"name": "v"}, "data": {"token": "t", "d/ca.crt": "c"}}
    share = RetrievedContainer(name="main", projectedvolumemaps=[contents])
    files = _files({"projected": {"sources": [], "defaultMode": 0o440}}, share)
    assert files == {"token": (b"t", 0o440), "d/ca.crt": (b"c", 0o440)}


SOURCES: list[dict[str, Any]] = [
    {"configMap": {"name": "m", "items": [{"key": "k", "path": "conf", "mode": 0o400}]}},
    {"secret": {"name": "s", "items": [{"key": "k", "path": "d/key"}], "optional": True}},
    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}, "mode": 0o444}]}},
    {"clusterTrustBundle": {"path": "roots.pem", "name": "b", "optional": True}},
]


def test_a_projected_volumes_modes_are_those_of_its_sources_items() -> None:
    data = {"conf": "1", "d/key": "2", "token": "3", "labels": "4", "roots.pem": "5"}
    share = RetrievedContainer(name="main", projectedvolumemaps=[{"metadata": {"name": "v"}, "data": data}])
    files = _files({"projected": {"sources": SOURCES, "defaultMode": 0o640}}, share)
    assert {path: mode for path, (_, mode) in files.items()} == {
        "conf": 0o400, "d/key": 0o640, "token": 0o640, "labels": 0o444, "roots.pem": 0o640,
    }  # fmt: skip


@pytest.mark.parametrize("path", ["conf", "token", "labels"])
def test_what_a_peer_left_out_of_a_projected_volume_is_refused_by_its_path(path: str) -> None:
    """The public virtual kubelet drops projected secrets and resource fields without a word."""
    data = {name: "x" for name in ("conf", "token", "labels") if name != path}
    share = RetrievedContainer(name="main", projectedvolumemaps=[{"metadata": {"name": "v"}, "data": data}])
    with pytest.raises(UnsupportedPod, match=f'volume "v": no contents came for its path "{path}"'):
        _files({"projected": {"sources": SOURCES}}, share)


def test_an_immutable_object_is_said_to_be_one() -> None:
    share = _config_map(data={"a": "1"}, immutable=True)
    (volume,) = plan_volumes([{"name": "v", "configMap": {"name": "m"}}], [share], {"v"})
    assert volume.immutable is True


def test_clusters_own_token_volume_may_be_missing_but_no_other() -> None:
    (planned,) = plan_volumes([{"name": "kube-api-access-x", "projected": {}}], [], {"kube-api-access-x"})
    assert (planned.kind, planned.files) == ("files", [])
    with pytest.raises(UnsupportedPod, match='volume "v": its projected contents did not come'):
        plan_volumes([{"name": "v", "projected": {}}], [], {"v"})


def test_downward_api_contents_come_by_the_volumes_name_with_the_modes_of_their_items() -> None:
    contents = {"metadata": {"name": "v"}, "data": {"labels": 'a="b"', "d/name": "p"}}
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}, "mode": 0o400},
        {"path": "d/name", "fieldRef": {"fieldPath": "metadata.name"}},
    ]
    share = RetrievedContainer(name="main", projectedvolumemaps=[contents])
    files = _files({"downwardAPI": {"items": items}}, share)
    assert files == {"labels": (b'a="b"', 0o400), "d/name": (b"p", 0o644)}
    with pytest.raises(UnsupportedPod, match='volume "v": its downwardAPI contents did not come'):
        _files({"downwardAPI": {"items": items}})


def test_a_volume_that_no_container_mounts_needs_no_contents_but_a_type_that_is_supported() -> None:
    volumes = [{"name": "v", "configMap": {"name": "m"}}, {"name": "w", "emptyDir": {}}]
    assert [volume.name for volume in plan_volumes(volumes, [], {"w"})] == ["w"]
    with pytest.raises(UnsupportedPod, match='volume "h" is of type nfs'):
        plan_volumes([{"name": "h", "nfs": {"path": "/"}}], [], set())


def test_what_is_missing_is_refused_unless_it_is_optional() -> None:
    with pytest.raises(UnsupportedPod, match='volume "v": ConfigMap "m" did not come with the pod'):
        _files({"configMap": {"name": "m"}})
    share = RetrievedContainer(name="main", secrets=[{"metadata": {"name": "s"}}])
    with pytest.raises(UnsupportedPod, match='volume "v": Secret "s" has no key "k"'):
        _files({"secret": {"secretName": "s", "items": [{"key": "k", "path": "k"}]}}, share)
    assert _files({"configMap": {"name": "m", "optional": True}}) == {}
    assert _files({"configMap": {"name": "m", "optional": True, "items": [{"key": "k", "path": "k"}]}}) == {}


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        ({"hostPath": {"path": "/"}}, 'volume "v": hostPath / is not open to pods'),
        ({"persistentVolumeClaim": {"claimName": "c"}}, 'volume "v": PersistentVolumeClaim "c" of namespace "default"'),
        ({"emptyDir": {"medium": "HugePages"}}, 'volume "v": an emptyDir of medium'),
        ({"emptyDir": {"sizeLimit": "-1"}}, 'volume "v": its sizeLimit is negative'),
        ({"emptyDir": {"sizeLimit": "much"}}, 'volume "v": sizeLimit: "much" is no Kubernetes quantity'),
        ({"projected": {"sources": [{"podCertificate": {}}]}}, 'volume "v" projects podCertificate'),
        ({"projected": {"sources": [{"secret": {}, "configMap": {}}]}}, 'volume "v" projects configMap and secret'),
        ({"emptyDir": {}, "csi": {}}, 'volume "v" is of type csi and emptyDir'),
        ({"configMap": {"name": 3}}, 'volume "v" is malformed'),
        ({"configMap": {"name": "m", "defaultMode": 4096}}, "mode 4096"),
        ({"configMap": {"name": "m", "items": [{"key": "a", "path": "../x"}]}}, "relative path"),
        (
            {"configMap": {"name": "m", "items": [{"key": "a", "path": "x"}, {"key": "a", "path": "x/y"}]}},
            "a folder at",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(volume: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedPod, match=words):
        _files(volume, _config_map(data={"a": "1"}))


@pytest.mark.parametrize(
    "kind", ["nfs", "cephfs", "iscsi", "image", "ephemeral", "gitRepo", "fc", "awsElasticBlockStore", "somethingNew"]
)
def test_a_volume_of_an_unknown_type_is_refused_even_if_nobody_mounts_it(kind: str) -> None:
    """A peer drops all mounts of the pod silently."""
    volumes = [{"name": "good", "emptyDir": {}}, {"name": "v", kind: {}}]
    with pytest.raises(UnsupportedPod, match=f'volume "v" is of type {kind}.* it can: emptyDir, configMap'):
        plan_volumes(volumes, [], {"good"})


def test_two_volumes_of_one_name_are_refused() -> None:
    with pytest.raises(UnsupportedPod, match='two volumes of the pod have the name "v"'):
        plan_volumes([{"name": "v", "emptyDir": {}}, {"name": "v", "configMap": {"name": "m"}}], [], {"v"})


def test_contents_that_several_containers_bring_are_written_once() -> None:
    first, second = _config_map(data={"a": "1"}), _config_map(data={"a": "1"})
    assert _files({"configMap": {"name": "m"}}, first, second) == {"a": (b"1", 0o644)}


def test_a_config_map_of_very_many_keys_takes_no_time_to_speak_of() -> None:
    """A quadratic look for paths in each other would take half a minute here, and a pod's author could ask for it."""
    share = _config_map(data={f"k{number}": "" for number in range(20_000)})
    began = time.monotonic()
    assert len(_files({"configMap": {"name": "m"}}, share)) == 20_000
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_file_below_a_file_is_refused_whichever_comes_first(depth: int) -> None:
    below = "x" + "/y" * depth
    for paths in (("x", below), (below, "x")):
        items = [{"key": "a", "path": path} for path in paths]
        with pytest.raises(UnsupportedPod, match='"x" is a file and a folder at once'):
            _files({"configMap": {"name": "m", "items": items}}, _config_map(data={"a": "1"}))
    items = [{"key": "a", "path": path} for path in ("xy", below)]
    assert len(_files({"configMap": {"name": "m", "items": items}}, _config_map(data={"a": "1"}))) == 2


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/",
        "./a",
        "",
        "..data",
        "..2026/x",
        "a\0",
        "é" * 128,
        "a/" * 1024 + "a",
    ],
    ids=ascii,
)
def test_a_path_that_would_leave_its_volume_or_fit_no_file_system_is_refused(path: str) -> None:
    with pytest.raises(UnsupportedPod, match='volume "v": path'):
        _files({"configMap": {"name": "m", "items": [{"key": "a", "path": path}]}}, _config_map(data={"a": "1"}))
    projected = RetrievedContainer(
        name="main", projectedvolumemaps=[{"metadata": {"name": "v"}, "data": {path: "contents"}}]
    )
    with pytest.raises(UnsupportedPod, match='volume "v": path'):
        _files({"projected": {}}, projected)


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a" * 64, "-a", "a\n", None])
def test_a_volume_whose_name_can_be_no_folder_is_refused(name: str | None) -> None:
    with pytest.raises(UnsupportedPod, match="is no DNS label"):
        plan_volumes([{"name": name, "emptyDir": {}}], [], set())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["name", "metadata", "data", "binaryData", "stringData", "items", "key", "path", "mode", "defaultMode"]
OBJECTS = st.dictionaries(st.sampled_from(KEYS), JSON | st.just({"name": "v"}), max_size=4)


@given(
    st.sampled_from(
        ["emptyDir", "configMap", "secret", "projected", "downwardAPI", "hostPath", "persistentVolumeClaim"]
    ),
    OBJECTS | JSON,
    OBJECTS,
)
def test_whatever_stands_in_a_volume_it_is_planned_or_refused(
    kind: str, source: object, contents: dict[str, Any]
) -> None:
    share = RetrievedContainer(name="c", configMaps=[contents], secrets=[contents], projectedvolumemaps=[contents])
    with contextlib.suppress(UnsupportedPod):
        assert len(plan_volumes([{"name": "v", kind: source}], [share], {"v"})) == 1


def test_broken_base64_is_refused_without_its_value() -> None:
    share = RetrievedContainer(name="main", secrets=[{"metadata": {"name": "s"}, "data": {"k": "hunter2!"}}])
    with pytest.raises(UnsupportedPod, match='key "k" of "s"') as refused:
        _files({"secret": {"secretName": "s"}}, share)
    assert "hunter2" not in str(refused.value)


@given(st.text("ab./\0", max_size=12))
def test_an_accepted_path_stays_in_its_volume(path: str) -> None:
    try:
        check_relative("path", path)
    except UnsupportedPod:
        return
    parts = path.split("/")
    assert all(part not in ("", ".", "..") for part in parts)
    assert not path.startswith("..")
    assert "\0" not in path
    assert posixpath.normpath(f"/v/{path}") == f"/v/{path}"


@given(st.dictionaries(st.text("abc._-", min_size=1).filter(lambda key: not key.startswith(".")), st.binary()))
def test_contents_arrive_byte_for_byte(contents: dict[str, bytes]) -> None:
    share = _config_map(binaryData={key: _encoded(value) for key, value in contents.items()})
    (planned,) = plan_volumes([{"name": "v", "configMap": {"name": "m"}}], [share], {"v"})
    assert planned.files == [PlanFile(path=key, data=_encoded(value)) for key, value in contents.items()]
