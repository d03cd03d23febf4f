"""A container's mounts: sub-paths with its variables in them, and propagation where the runtime gives it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanMount
from interlink.core.pod.mounts import plan_mount
from interlink.wire.pod import VolumeMount

VARIABLES = {"POD": "p-1", "UP": "..", "ROOT": "/etc", "EMPTY": ""}


def planned(runtime: str = "apptainer", **fields: Any) -> PlanMount:
    mount = msgspec.convert({"name": "v", "mountPath": "/x", **fields}, VolumeMount)
    return plan_mount('container "c"', mount, frozenset({"v"}), VARIABLES, runtime)


def test_a_sub_path_with_variables_is_expanded_with_the_containers() -> None:
    assert planned(subPathExpr="logs/$(POD)/$$(POD)/").sub_path == "logs/p-1/$(POD)"
    assert planned(subPath="a/$(POD)").sub_path == "a/$(POD)"


@pytest.mark.parametrize("expression", ["$(NONE)", "a/$(UP)/b", "$(ROOT)", "$(UP)$(ROOT)", "a/$(EMPTY)/b"])
def test_an_expression_without_a_value_or_out_of_its_volume_is_refused(expression: str) -> None:
    with pytest.raises(UnsupportedPod, match=r'container "c": subPath.*(missing value for "NONE"|relative path)'):
        planned(subPathExpr=expression)


@pytest.mark.parametrize(
    ("runtime", "possible"),
    [
        ("apptainer", {"None", "HostToContainer"}),
        ("none", {"None", "HostToContainer", "Bidirectional"}),
        ("enroot", {"None"}),
    ],
)
def test_propagation_is_given_where_the_runtime_can_and_refused_by_name_elsewhere(
    runtime: str, possible: set[str]
) -> None:
    assert planned(runtime).propagation == planned(runtime, mountPropagation="None").propagation == ""
    for propagation in ("HostToContainer", "Bidirectional", "Sideways"):
        if propagation in possible:
            assert planned(runtime, mountPropagation=propagation).propagation == propagation
        else:
            with pytest.raises(UnsupportedPod, match=f'{propagation} of volume "v" is not possible under {runtime}'):
                planned(runtime, mountPropagation=propagation)


@given(st.text("ab./$()PODU\0", max_size=12))
def test_an_accepted_expression_stays_in_its_volume(expression: str) -> None:
    try:
        sub_path = planned(subPathExpr=expression).sub_path
    except UnsupportedPod:
        return
    assert not sub_path.startswith("/")
    assert ".." not in sub_path.split("/")
