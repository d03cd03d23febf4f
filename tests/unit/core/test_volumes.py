"""Volumes and their gathered contents → the plan's volumes."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.paths import check_relative
from interlink.core.plan import PlanFile
from interlink.core.volumes import plan_volumes
from interlink.wire.messages import RetrievedContainer


def _encoded(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def _config_map(name: str = "m", **fields: Any) -> RetrievedContainer:
    return RetrievedContainer(name="main", configMaps=[{"metadata": {"name": name}, **fields}])


def _files(volume: dict[str, Any], *shares: RetrievedContainer) -> dict[str, tuple[bytes, int]]:
    (planned,) = plan_volumes([{"name": "v", **volume}], shares)
    assert planned.kind == "files"
    return {file.path: (base64.b64decode(file.data), file.mode) for file in planned.files}


def test_an_empty_dir_has_no_files_and_a_volume_without_a_source_is_one() -> None:
    planned = plan_volumes([{"name": "a", "emptyDir": {"medium": "Memory"}}, {"name": "b"}], None)
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


def test_clusters_own_token_volume_may_be_missing_but_no_other() -> None:
    (planned,) = plan_volumes([{"name": "kube-api-access-x", "projected": {}}], [])
    assert (planned.kind, planned.files) == ("files", [])
    with pytest.raises(UnsupportedPod, match='volume "v": its projected contents did not come'):
        plan_volumes([{"name": "v", "projected": {}}], [])


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
        ({"hostPath": {"path": "/"}}, 'volume "v" is of type hostPath'),
        ({"persistentVolumeClaim": {"claimName": "c"}}, 'volume "v" is of type persistentVolumeClaim'),
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


@given(st.dictionaries(st.text("abc._-", min_size=1).filter(lambda key: not key.startswith(".")), st.binary()))
def test_contents_arrive_byte_for_byte(contents: dict[str, bytes]) -> None:
    share = _config_map(binaryData={key: _encoded(value) for key, value in contents.items()})
    (planned,) = plan_volumes([{"name": "v", "configMap": {"name": "m"}}], [share])
    assert planned.files == [PlanFile(path=key, data=_encoded(value)) for key, value in contents.items()]
