"""What of the site's file systems pods may see: hostPath by the administrator's list, claims by the table."""

import posixpath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanContainer, PlanMount, PlanRoot, PlanVolume
from interlink.core.pod.volumes import ClaimRule, HostPathRule, VolumePolicy, plan_volumes, refuse_devices

POLICY = VolumePolicy(
    host_paths=(HostPathRule(path="/scratch"), HostPathRule(path="/cvmfs", read_only=True), HostPathRule(path="/")),
    protected=("/srv/interlink",),
    claims=(
        ClaimRule(path="/projects/{namespace}/shared", claim="shared-*", read_only=True),
        ClaimRule(path="/claims/{user}/ns-{namespace}/{claim}", namespace="team-*", create=True),
        ClaimRule(path="/data/reference", namespace="other", claim="reference"),
    ),
)


def planned(source: dict[str, Any], namespace: str = "team-a", policy: VolumePolicy = POLICY) -> PlanVolume:
    (volume,) = plan_volumes([{"name": "v", **source}], [], {"v"}, namespace=namespace, policy=policy)
    return volume


def host_path(path: str, **fields: Any) -> PlanVolume:
    return planned({"hostPath": {"path": path, **fields}})


def claim(name: str, namespace: str = "team-a", **fields: Any) -> PlanVolume:
    return planned({"persistentVolumeClaim": {"claimName": name, **fields}}, namespace)


def test_a_host_path_takes_the_whole_list_along_for_its_links() -> None:
    volume = host_path("//scratch/./a/", type="DirectoryOrCreate")
    assert (volume.kind, volume.path, volume.path_type) == ("path", "/scratch/a", "DirectoryOrCreate")
    assert PlanRoot(path="/cvmfs", read_only=True) in volume.allowed


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"path": "/scratchy"}, "/scratchy is not open to pods on this site (open: /scratch); its administrator can"),
        ({"path": "/"}, "/ is not open"),
        ({"path": "/scratch/../etc"}, 'absolute path without ".." parts'),
        ({"path": "scratch"}, "absolute path"),
        ({"path": ""}, "absolute path"),
        ({"path": "/scratch", "type": "Folder"}, "hostPath type 'Folder' is none of BlockDevice"),
    ],
)
def test_a_path_that_is_not_open_is_refused_by_name(source: dict[str, Any], words: str) -> None:
    policy = VolumePolicy(host_paths=(HostPathRule(path="/scratch"),))
    with pytest.raises(UnsupportedPod, match='volume "v": ') as refused:
        planned({"hostPath": source}, policy=policy)
    assert words in str(refused.value)


@pytest.mark.parametrize("path", ["/srv/interlink", "/srv/interlink/jobs", "/srv", "/"])
def test_the_sidecars_own_folders_are_not_opened_by_any_list(path: str) -> None:
    with pytest.raises(UnsupportedPod, match=f"hostPath {path} would show other pods' files, in /srv/interlink"):
        host_path(path)


@pytest.mark.parametrize("path", ["/proc", "/proc/1/root", "/sys/fs", "/dev/sda"])
def test_the_kernels_own_file_systems_need_a_line_of_their_own(path: str) -> None:
    with pytest.raises(UnsupportedPod, match="is not open to pods"):
        host_path(path)
    policy = VolumePolicy(host_paths=(HostPathRule(path=path),))
    assert planned({"hostPath": {"path": path}}, policy=policy).path == path


def _at(path: str) -> list[PlanContainer]:
    """Return a container that mounts the volume there, and one that does not."""
    mounts = [PlanMount(volume="v", mount_path=path)]
    return [PlanContainer(name="a", image="a"), PlanContainer(name="b", image="b", mounts=mounts)]


def test_a_device_is_mounted_where_the_runtimes_containers_can_open_it() -> None:
    """Seen with apptainer 1.4.5: elsewhere it mounts with nodev, and opening the device is "Permission denied"."""
    volume = planned(
        {"hostPath": {"path": "/dev/fuse", "type": "CharDevice"}},
        policy=VolumePolicy(host_paths=(HostPathRule(path="/dev/fuse"),)),
    )
    for runtime, path in (
        ("none", "/x"),
        ("podman-hpc", "/x"),
        ("apptainer", "/dev/fuse"),
        ("apptainer", "/dev/./fuse"),
    ):
        refuse_devices([volume], runtime, _at(path))
    with pytest.raises(UnsupportedPod, match=r'volume "v": a hostPath of type CharDevice .* not /dev/fuse at /x'):
        refuse_devices([volume], "apptainer", _at("/x"))
    with pytest.raises(UnsupportedPod, match='volume "v": a hostPath of type CharDevice is not possible under enroot'):
        refuse_devices([volume], "enroot", _at("/dev/fuse"))


def test_a_claim_lies_where_the_first_line_for_it_says() -> None:
    made = claim("data-1")
    assert made.path == "/claims/{user}/ns-team-a/data-1"  # the user is known on the node
    assert (made.path_type, made.read_only, made.claim) == ("DirectoryOrCreate", False, "data-1")
    assert made.allowed == [PlanRoot(path="/claims")]
    shared = claim("shared-x")
    assert (shared.path, shared.path_type, shared.read_only) == ("/projects/team-a/shared", "Directory", True)
    assert claim("reference", "other").allowed == [PlanRoot(path="/data/reference")]
    assert claim("data-1", readOnly=True).read_only is True


def test_an_unknown_claim_is_refused_with_what_the_administrator_has_to_add() -> None:
    words = 'PersistentVolumeClaim "data" of namespace "other" has no place .* [(]Namespace: other, Claim: data, Path: '
    with pytest.raises(UnsupportedPod, match=words):
        claim("data", "other")


@given(st.text("ab./-{}", max_size=10))
def test_no_claims_name_leads_out_of_its_folder(name: str) -> None:
    try:
        volume = claim(name)
    except UnsupportedPod:
        return
    assert posixpath.dirname(posixpath.normpath(volume.path)) in ("/claims/{user}/ns-team-a", "/projects/team-a")
