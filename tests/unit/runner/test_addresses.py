"""The node's address is put in where a pod asks for its own, and nowhere else."""

from pathlib import Path
from typing import Any

import msgspec

from interlink.core.plan import Plan, PlanContainer, PlanMount, PlanRuntime
from interlink.runner.addresses import with_address
from interlink.wire.messages import address_token

TOKEN = address_token("0f6bd0ce-6c1f-4c7a-9d2e-000000000001")


def plan(*containers: PlanContainer, **fields: Any) -> dict[str, Any]:
    runtime = PlanRuntime(kind="none")
    found: dict[str, Any] = msgspec.to_builtins(
        Plan(
            namespace="ns",
            name="p",
            uid="u",
            folder="/f",
            spool="/s",
            runtime=runtime,
            containers=list(containers),
            **fields,
        )
    )
    return found


def test_the_address_stands_wherever_the_token_stood() -> None:
    main = PlanContainer(
        name="main", image="b", command=["serve", f"--on={TOKEN}:80"], args=[TOKEN], env=[("IP", TOKEN), ("A", "b")],
        mounts=[PlanMount(volume="v", mount_path="/v", sub_path=f"of/{TOKEN}")],
    )  # fmt: skip
    first = PlanContainer(name="first", image="b", env=[("IPS", f"{TOKEN},{TOKEN}")])
    found = with_address(plan(main, init_containers=[first], address_token=TOKEN), "10.1.2.3")
    (spec,) = found["containers"]
    assert (spec["command"], spec["args"]) == (["serve", "--on=10.1.2.3:80"], ["10.1.2.3"])
    assert (spec["env"], spec["mounts"][0]["subPath"]) == ([("IP", "10.1.2.3"), ("A", "b")], "of/10.1.2.3")
    assert found["initContainers"][0]["env"] == [("IPS", "10.1.2.3,10.1.2.3")]
    assert TOKEN not in str({**found, "addressToken": ""})


def test_a_node_whose_address_nobody_knows_leaves_nothing_behind() -> None:
    found = with_address(plan(PlanContainer(name="main", image="b", env=[("IP", TOKEN)]), address_token=TOKEN), "")
    assert found["containers"][0]["env"] == [("IP", "")]


def test_a_command_that_is_the_images_own_stays_that() -> None:
    found = with_address(plan(PlanContainer(name="main", image="b"), address_token=TOKEN), "10.1.2.3")
    assert (found["containers"][0]["command"], found["containers"][0]["args"]) == (None, None)


def test_a_plan_of_an_older_sidecar_is_as_it_was(tmp_path: Path) -> None:
    old = {"containers": [{"name": "main"}]}
    assert with_address(old, "10.1.2.3") is old
