"""Bringing parts up in order, side by side, and what is said when one fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.testbed import images, registry
from tests.testbed.bed import Bed
from tests.testbed.errors import CommandError, TestbedError, UnhealthyError
from tests.testbed.graph import Graph, PartError, closure, ordered
from tests.testbed.layout import SMALL
from tests.testbed.part import Part, Step
from tests.testbed.parts import parts


class World:
    """Parts that come up by being written down here."""

    def __init__(self) -> None:
        self.there: list[str] = []
        self.lock = threading.Lock()

    def part(self, name: str, *needs: str, up: Callable[[Bed, Step], None] | None = None) -> Part:
        def come_up(bed: Bed, step: Step) -> None:
            with self.lock:
                self.there.append(name)

        def health(bed: Bed) -> str:
            if name not in self.there:
                raise UnhealthyError(f"{name} is not there")
            return "there"

        return Part(name, f"the part {name}", needs, up or come_up, health)


def names(some: list[Part]) -> list[str]:
    return [part.name for part in some]


def test_each_part_comes_after_what_it_needs() -> None:
    world = World()
    a, b, c = world.part("a", "b", "c"), world.part("b", "c"), world.part("c")
    assert names(ordered([a, b, c])) == ["c", "b", "a"]


def test_a_circle_is_named() -> None:
    world = World()
    with pytest.raises(TestbedError, match="a → b → a"):
        ordered([world.part("a", "b"), world.part("b", "a")])


def test_an_unknown_need_is_named() -> None:
    with pytest.raises(TestbedError, match="a needs b, which is no part"):
        ordered([World().part("a", "b")])


def test_the_closure_has_what_is_needed_and_no_more() -> None:
    world = World()
    every = [world.part("a", "b"), world.part("b"), world.part("c")]
    assert names(closure(every, ["a"])) == ["b", "a"]
    with pytest.raises(TestbedError, match=r"z: no such part \(there are a, b, c\)"):
        closure(every, ["z"])


def test_the_declared_parts_are_in_order() -> None:
    found = names(ordered(parts(SMALL)))
    assert found.index("edge") < found.index("slurm") < found.index("apptainer")
    assert found.index("kubernetes") < found.index("cluster")


def test_an_image_waits_for_those_that_it_starts_from_and_the_registry_for_its_images() -> None:
    needs = {part.name: set(part.needs) for part in parts(SMALL)}
    for name, parents in images.PARENTS.items():
        assert needs[f"image-{name}"] >= {f"image-{parent}" for parent in parents.values()}
    assert needs["registry"] >= {f"image-{image}" for image in registry.CONTENT.values()}
    assert needs["registry-later"] >= {f"image-{image}" for image in registry.LATER.values()}


def test_the_graph_brings_up_what_is_missing_only(bed: Bed) -> None:
    world, said = World(), list[str]()
    world.there.append("b")
    Graph(bed, [world.part("a", "b"), world.part("b"), world.part("c", "a")], said.append).up()
    assert world.there == ["b", "a", "c"]
    assert any("a: up after" in line for line in said)
    assert not any(" b:" in line for line in said)


def test_parts_that_need_nothing_of_each_other_come_up_together(bed: Bed) -> None:
    world = World()
    both = threading.Barrier(2, timeout=10)

    def meet(bed: Bed, step: Step) -> None:
        both.wait()
        with world.lock:
            world.there.append(step.part)

    Graph(bed, [world.part("a", up=meet), world.part("b", up=meet)], lambda _: None).up()
    assert sorted(world.there) == ["a", "b"]


def test_a_failure_carries_the_cause_and_the_end_of_the_log(bed: Bed) -> None:
    def fail(bed: Bed, step: Step) -> None:
        step.run(["sh", "-c", "echo the disk is full; exit 3"])

    world = World()
    with pytest.raises(PartError) as caught:
        Graph(bed, [world.part("a", up=fail), world.part("b", "a")], lambda _: None).up()
    words = str(caught.value)
    assert caught.value.part == "a"
    assert "exit status 3" in words
    assert f"--- {bed.paths.logs / 'a.log'}\n# not there: a is not there\n+ sh -c" in words
    assert world.there == []


def test_a_failure_stops_what_else_goes_on(bed: Bed) -> None:
    runs = threading.Event()

    def go_on(bed: Bed, step: Step) -> None:
        runs.set()
        step.run(["sleep", "60"])

    def fail(bed: Bed, step: Step) -> None:
        assert runs.wait(10)
        raise CommandError(["false"], 1, "")

    world = World()
    with pytest.raises(PartError, match="bad did not come up"):
        Graph(bed, [world.part("long", up=go_on), world.part("bad", up=fail)], lambda _: None).up()


def test_a_wait_ends_with_the_words_of_the_check(bed: Bed) -> None:
    step = Step("a", bed.paths.logs / "a.log", threading.Event())

    def never() -> str:
        raise UnhealthyError("port 6443 is closed")

    with pytest.raises(UnhealthyError, match=r"port 6443 is closed\n\(waited 0 s for it\)"):
        step.wait(never, within=0)
