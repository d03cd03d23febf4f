"""A status goes to the API as a whole pod or as a patch, and is the same afterwards."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from interlink.vk.apiserver import fake
from interlink.vk.pods.merge import merged_status, status_patch

Json = dict[str, Any]

words = st.sampled_from(["", "a", "b"])
kinds = st.sampled_from(["Ready", "Initialized", "PodScheduled", "example.com/gate"])
held_conditions = st.lists(
    st.fixed_dictionaries({"type": kinds, "status": words}, optional={"reason": words, "lastProbeTime": words}),
    unique_by=lambda condition: str(condition["type"]),
)
wanted_conditions = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": kinds, "status": words, "reason": st.none() | words}),
        st.fixed_dictionaries({"type": kinds, "$patch": st.just("delete")}),
    ),
    unique_by=lambda condition: str(condition["type"]),
)
addresses = st.lists(st.fixed_dictionaries({"ip": st.sampled_from(["10.0.0.1", "10.0.0.2", "::1"])}), max_size=1)
containers = st.lists(st.fixed_dictionaries({"name": words, "ready": st.booleans()}), max_size=2)
plain = {
    "phase": words, "message": words, "podIPs": addresses, "hostIPs": addresses, "containerStatuses": containers
}  # fmt: skip
held_statuses = st.fixed_dictionaries({}, optional={**plain, "conditions": held_conditions, "qosClass": words})
wanted_statuses = st.fixed_dictionaries({"conditions": wanted_conditions}, optional=plain)


@given(held_statuses, wanted_statuses)
def test_the_whole_status_is_what_the_patch_makes_of_it(current: Json, desired: Json) -> None:
    patched = copy.deepcopy(current)
    fake.merge(patched, status_patch(current, copy.deepcopy(desired)))
    assert by_type(merged_status(current, desired)) == by_type(patched)


@given(held_statuses, wanted_statuses)
def test_what_is_merged_stays_as_it_was(current: Json, desired: Json) -> None:
    before = copy.deepcopy((current, desired))
    merged_status(current, desired)
    status_patch(current, desired)
    assert (current, desired) == before


def by_type(status: Json) -> Json:
    """Return the status with its conditions in no order; none are as good as an empty list."""
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    return {**status, "conditions": conditions}


def test_conditions_of_others_and_their_order_stay() -> None:
    current = {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "True", "reason": "R"}]}
    desired = {"conditions": [{"type": "B", "status": "False", "reason": None}, {"type": "C", "status": "True"}]}
    assert merged_status(current, desired)["conditions"] == [
        {"type": "A", "status": "True"}, {"type": "B", "status": "False"}, {"type": "C", "status": "True"}
    ]  # fmt: skip
