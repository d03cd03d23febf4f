"""A node whose time is limited: its labels count down, it is closed, drained, and in the end it goes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from interlink.config.nodes import NodeSettings
from interlink.vk.main import WalltimeOverError
from interlink.vk.node.walltime import Stage, Term, new_term, walltime_taints

World = Any  # of conftest.py
Eventually = Callable[..., Any]
NODE = "/api/v1/nodes/vk-test"


def settings(walltime: int) -> NodeSettings:
    return NodeSettings(name="n", address="", port=0, labels={}, taints=(), walltime=walltime, drain=600.0)


@pytest.mark.parametrize(
    ("left", "stage"),
    [
        (3600, Stage.OPEN), (601, Stage.OPEN), (600, Stage.CLOSED), (301, Stage.CLOSED), (300, Stage.DRAINED),
        (1, Stage.DRAINED), (0, Stage.OVER), (-5, Stage.OVER),
    ],
)  # fmt: skip
def test_the_stages_of_an_hour(left: int, stage: Stage) -> None:
    assert Term("run", 3600, 10_000).stage(10_000 - left, 600.0) is stage


def test_a_short_walltime_is_open_for_its_first_half() -> None:
    term = Term("run", 60, 60)
    assert [term.stage(now, 600.0) for now in (0, 29, 30, 45, 60)] == [
        Stage.OPEN, Stage.OPEN, Stage.CLOSED, Stage.DRAINED, Stage.OVER,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("left", "said"), [(3600, "3600"), (3599, "3540"), (659, "600"), (599, "590"), (9, "0"), (0, "0"), (-9, "0")]
)
def test_what_is_left_is_rounded_down_and_never_negative(left: int, said: str) -> None:
    assert Term("run", 3600, 10_000).labels(10_000 - left) == {"jiriaf.walltime": "3600", "jiriaf.alivetime": said}


def test_a_process_goes_on_with_the_term_of_its_own_run_only() -> None:
    first = new_term(settings(600), 1000.0, {"SLURM_JOB_ID": "7"})
    again = new_term(settings(600), 1500.0, {"SLURM_JOB_ID": "7"})
    other = new_term(settings(600), 1500.0, {"SLURM_JOB_ID": "8"})
    longer = new_term(settings(1200), 1500.0, {"SLURM_JOB_ID": "7"})
    assert first is not None
    assert again is not None
    assert other is not None
    assert longer is not None
    assert again.continued(first).ends == 1600
    assert (other.continued(first).ends, longer.continued(first).ends) == (2100, 2700)
    assert again.continued(None).ends == 2100
    assert new_term(settings(0), 0.0) is None
    here = new_term(settings(60), 0.0, {})
    assert here is not None
    assert here.run, "without a batch job the host is the run"


def test_taints_of_each_stage() -> None:
    effects = {stage: [taint["effect"] for taint in walltime_taints(stage)] for stage in Stage}
    assert effects == {
        Stage.OPEN: [],
        Stage.CLOSED: ["NoSchedule"],
        Stage.DRAINED: ["NoSchedule", "NoExecute"],
        Stage.OVER: ["NoSchedule", "NoExecute"],
    }


def effects(world: World) -> list[str]:
    taints = world.api.objects[NODE]["spec"].get("taints") or []
    return sorted(taint["effect"] for taint in taints if taint["key"] == "interlink.io/walltime")


def label(world: World, name: str) -> str:
    found: str = (world.api.objects.get(NODE) or {"metadata": {}})["metadata"].get("labels", {}).get(name, "")
    return found


def ready(world: World) -> str:
    found: str = next(c["status"] for c in world.api.objects[NODE]["status"]["conditions"] if c["type"] == "Ready")
    return found


async def test_a_node_counts_down_drains_and_goes_with_its_last_pod(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.vk.virtual_node.END_SECONDS", 0.1)
    world.changes = {"walltime": 3600, "node_type": "cpu", "node_site": "Local"}
    uid = world.add_pod("stays", spec={"terminationGracePeriodSeconds": 7})["metadata"]["uid"]
    with pytest.raises(WalltimeOverError):
        await _whole_life(world, eventually, uid)
    assert NODE not in world.api.objects, "and it does not come back"
    assert not world.pod("stays")
    assert {"WalltimeEnding", "WalltimeDraining", "WalltimeOver"} <= set(world.reasons())


async def _whole_life(world: World, eventually: Eventually, uid: str) -> None:
    async with world.running():
        await eventually(lambda: label(world, "jiriaf.alivetime") in ("3600", "3540"))
        assert (label(world, "jiriaf.nodetype"), label(world, "jiriaf.site")) == ("cpu", "Local")
        assert effects(world) == []
        await eventually(lambda: uid in world.edge.statuses)
        world.ahead = 3100.0
        await eventually(lambda: label(world, "jiriaf.alivetime") in ("500", "490"))
        await eventually(lambda: effects(world) == ["NoSchedule"])
        world.ahead = 3400.0
        await eventually(lambda: effects(world) == ["NoExecute", "NoSchedule"])
        assert ready(world) == "True"
        late = world.add_pod("late")["metadata"]["uid"]
        await eventually(lambda: world.phase("late") == "Failed")
        assert world.pod("late")["status"]["reason"] == "NodeShutdown"
        await eventually(lambda: "NodeShutdown" in world.reasons())
        assert late not in world.edge.created
        assert world.api.count("DELETE", "/pods/") == 0, "whom eviction leaves alone has until the end"
        world.ahead = 3601.0
        await eventually(lambda: ready(world) == "False")
        await eventually(lambda: uid in world.edge.deleted)
        assert world.pod("stays")["metadata"]["deletionGracePeriodSeconds"] == 7
        await asyncio.sleep(0.3)
        assert NODE in world.api.objects, "the pod's job has not ended"
        world.edge.say(uid, {"terminated": {"exitCode": 143}}, ended=True)
        await eventually(lambda: NODE not in world.api.objects)
        await asyncio.sleep(0.5)


async def test_a_virtual_kubelet_that_was_killed_goes_on_towards_the_same_end(
    world: World, eventually: Eventually
) -> None:
    world.changes = {"walltime": 3600}
    async with world.running():
        await eventually(
            lambda: (
                "term"
                in (world.api.objects.get(NODE) or {})
                .get("metadata", {})
                .get("annotations", {})
                .get("interlink.io/owned", "")
            )
        )
    world.ahead = 1800.0
    async with world.running():
        await eventually(lambda: label(world, "jiriaf.alivetime") in ("1800", "1740"))
    world.changes = {}
    async with world.running():
        await eventually(lambda: not label(world, "jiriaf.alivetime"))
    assert not label(world, "jiriaf.walltime")


async def test_a_node_that_may_not_be_removed_stays_not_ready(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("interlink.vk.virtual_node.END_SECONDS", 0.1)
    world.changes = {"walltime": 60}
    world.api.fail(f"DELETE {NODE}", 403)

    async def until_over() -> None:
        async with world.running():
            await eventually(lambda: NODE in world.api.objects)
            world.ahead = 61.0
            await eventually(lambda: any("remove it by hand" in record.getMessage() for record in caplog.records))
            await asyncio.sleep(0.2)

    with pytest.raises(WalltimeOverError):
        await until_over()
    assert ready(world) == "False"
