"""docs/conformance.md has all of its points, each with tests that exist."""

import ast
import re
from functools import cache

import pytest

from tests.demo.project import ROOT

PAGE = (ROOT / "docs" / "conformance.md").read_text()
ROWS = {int(number): row for number, row in re.findall(r"^\| (\d+) \|(.*)\|$", PAGE, re.MULTILINE)}


@cache
def names_in(path: str) -> set[str]:
    """Return the names of a module's tests."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_no_point_is_missing() -> None:
    assert list(ROWS) == list(range(1, 26))


@pytest.mark.parametrize("number", range(1, 26))
def test_a_points_tests_exist(number: int) -> None:
    named = re.findall(r"`(tests/[^`]+\.py)::(test_[^`]+)`", ROWS[number])
    assert named
    assert len(named) == ROWS[number].count("`tests/"), "each in the form FILE::TEST"
    for path, name in named:
        assert name in names_in(path), f"{path} has no {name}"
