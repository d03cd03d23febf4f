"""Counters and histograms, and Prometheus' text format 0.0.4 of them and of whatever is known at the time of a scrape.

Used by every part that counts; read by ``kubelet/metrics.py``. Not prometheus_client: what a scrape shows is mostly
state that the parts hold anyhow, the rest are the two classes here, and its global registry would mix the nodes of a
process.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

#: Upper bounds in seconds: from a decision without a write to a call that runs into its deadline.
SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TEXT = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Counter:
    """How often something happened, by the values of its labels."""

    def __init__(self, name: str, words: str, labels: tuple[str, ...]) -> None:
        self.name = name
        self.words = words
        self.labels = labels
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, *values: str, amount: float = 1.0) -> None:
        """Count once more."""
        self._values[values] = self._values.get(values, 0.0) + amount

    def text(self) -> str:
        """Return the family in Prometheus' format."""
        samples = [(dict(zip(self.labels, values, strict=True)), value) for values, value in self._values.items()]
        return family(self.name, "counter", self.words, samples)


class Histogram:
    """How long something took, by the values of its labels."""

    def __init__(self, name: str, words: str, labels: tuple[str, ...], bounds: tuple[float, ...] = SECONDS) -> None:
        self.name = name
        self.words = words
        self.labels = labels
        self.bounds = bounds
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, seconds: float, *values: str) -> None:
        """Count one that took so long."""
        counts = self._counts.setdefault(values, [0] * (len(self.bounds) + 1))
        counts[bisect_left(self.bounds, seconds)] += 1
        self._sums[values] = self._sums.get(values, 0.0) + seconds

    def text(self) -> str:
        """Return the family in Prometheus' format."""
        lines = [_head(self.name, "histogram", self.words)]
        for values, counts in self._counts.items():
            labels, below = dict(zip(self.labels, values, strict=True)), 0
            for bound, count in zip((*map(_number, self.bounds), "+Inf"), counts, strict=True):
                below += count
                lines.append(_sample(f"{self.name}_bucket", {**labels, "le": bound}, below))
            lines.append(_sample(f"{self.name}_sum", labels, self._sums[values]))
            lines.append(_sample(f"{self.name}_count", labels, below))
        return "".join(lines)


def family(name: str, kind: str, words: str, samples: Iterable[tuple[Labels, float]]) -> str:
    """Return one metric with its samples; nothing at all where there is no sample."""
    lines = [_sample(name, labels, value) for labels, value in samples]
    return _head(name, kind, words) + "".join(lines) if lines else ""


def gauge(name: str, words: str, value: float | None) -> str:
    """Return one number that goes up and down; nothing where it is not known."""
    return family(name, "gauge", words, [] if value is None else [({}, value)])


def _head(name: str, kind: str, words: str) -> str:
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n"


def _sample(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
    return f"{name}{'{' + inner + '}' if inner else ''} {_number(value)}\n"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
