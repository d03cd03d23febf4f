"""One measured figure, the table that is printed of several, and the file that keeps them.

Used by every benchmark. A figure that misses its target is told, and is no failure: a benchmark fails only when it
cannot measure.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


class CannotMeasureError(Exception):
    """The benchmark could not be carried out; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: what was measured, against what, and whether it meets its target."""

    figure: str
    unit: str
    #: None where the figure is only told.
    target: float | None
    measured: float
    #: What the target was made of, measured in the same run; None where the target stands by itself.
    baseline: float | None = None
    #: Whether the target is a least value and not a most one.
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met, None where there is none."""
        if self.target is None:
            return None
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    def entry(self) -> dict[str, object]:
        """Return the figure as the results file has it."""
        values = asdict(self)
        keys = ("figure", "unit", "target", "baseline", "measured")
        return {**{key: _rounded(values[key]) for key in keys}, "met": self.met}


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a table for a terminal."""
    rows = [["figure", "unit", "target", "baseline", "measured", "met"]]
    for figure in figures:
        bound = "≥ " if figure.at_least else "≤ "
        rows.append(
            [
                figure.figure,
                figure.unit,
                "" if figure.target is None else bound + _text(figure.target),
                "" if figure.baseline is None else _text(figure.baseline),
                _text(figure.measured),
                {True: "yes", False: "NO", None: ""}[figure.met],
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def write(figures: Sequence[Figure], name: str, folder: Path = RESULTS, *, whole: bool = True) -> Path:
    """Write ``NAME.json`` and return its path; unless it is the ``whole``, other figures in it stay. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    held = [] if whole or not path.exists() else json.loads(path.read_text())
    entries = {entry["figure"]: entry for entry in [*held, *(figure.entry() for figure in figures)]}
    path.write_text(json.dumps(list(entries.values()), indent=2, ensure_ascii=False) + "\n")
    return path


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
