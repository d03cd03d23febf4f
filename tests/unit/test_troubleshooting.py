"""docs/troubleshooting.md has every reason that the code gives, and no word that the code does not say."""

import ast
import re
from functools import cache

import pytest

from interlink.core.job.pending import Wait
from interlink.core.job.states import ENDS
from tests.demo.project import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
#: A reason in a status, in an event of the site's, and in one of the virtual kubelet's.
_GIVEN = re.compile(
    r'"reason": "([A-Z]\w+)"|reason="([A-Z]\w+)"|\.(?:pod|node)\([^"]*"(?:Normal|Warning)", "([A-Z]\w+)"', re.ASCII
)


def sources() -> list[str]:
    return [path.read_text() for path in sorted((ROOT / "interlink").rglob("*.py")) if path.name != "fake.py"]


@cache
def said() -> str:
    """Return all texts of the code; what is put into them is "…", and what was written in pieces is one."""
    texts = []
    for source in sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(re.sub(r"%[.0-9]*[sdrf]|\{[^{}]*\}", "…", node.value))
            elif isinstance(node, ast.JoinedStr):
                texts.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
    return "\n".join(texts)


def test_every_reason_of_an_event_a_wait_or_an_end_is_on_the_page() -> None:
    given = {word for source in sources() for found in _GIVEN.findall(source) for word in found if word}
    given |= {wait.value for wait in Wait} | {end.reason for end in ENDS.values()}
    assert len(given) > 25
    assert not {word for word in given if f"`{word}`" not in PAGE}


@pytest.mark.parametrize(
    "line", re.findall(r"^\| (`[^|]*) \|", PAGE.partition("## The services' logs")[2], re.MULTILINE)
)
def test_every_line_of_a_log_on_the_page_is_said_by_the_code(line: str) -> None:
    for words in re.findall(r"`([^`]+)`", line):
        pieces = [piece.strip(" :;,()") for piece in words.split("…")]
        for piece in pieces:
            assert piece in said() or piece in ("", "/create: 422"), f"nobody says {piece!r}"


@pytest.mark.parametrize("page", ["lifecycle.md", "troubleshooting.md", "operations.md"])
def test_a_link_leads_to_a_page(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    for link in re.findall(r"]\(([a-z-]+\.md)\)", text):
        assert (ROOT / "docs" / link).exists(), link
