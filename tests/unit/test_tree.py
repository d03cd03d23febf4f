"""The tree keeps to its own rules: modules that fit a head, each with a word on its role."""

import ast
from pathlib import Path

import pytest

from tests.demo.project import ROOT

MODULES = sorted(path for folder in ("interlink", "tests", "roles") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_a_docstring_and_at_most_500_lines(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "the docstring says the module's role"


@pytest.mark.parametrize("path", [path for path in MODULES if path.is_relative_to(ROOT / "interlink")],
                         ids=lambda path: str(path.relative_to(ROOT)))  # fmt: skip
def test_no_function_is_longer_than_60_lines(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name
