"""Holds a pod's spec, as its author wrote it, against the table: which fields are refused, and which have no effect."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from interlink.core.pod.support.model import Row

#: The rows by the API's types and their fields.
Table = Mapping[str, Mapping[str, Row]]

#: The lists whose entries are called by their kind and name; what else is in a pod is called the pod's.
_NAMED = {
    "containers": "container",
    "initContainers": "container",
    "ephemeralContainers": "container",
    "volumes": "volume",
}
_UNKNOWN = "is not known to this edge, and has no effect"
_LONGEST = 200
#: What is as good as not written, for kube-apiserver and for us.
_EMPTY: tuple[object, ...] = ("", [], {})


@dataclass(frozen=True)
class Finding:
    """A field of a pod that is not carried out: whose, which, and the words. ``owner`` is empty for the pod."""

    owner: str
    path: str
    words: str
    refused: bool

    def __str__(self) -> str:
        """The sentence for the pod's author."""
        return _sentence([self.owner], self.path, self.words)


def sentences(findings: Iterable[Finding]) -> list[str]:
    """Return the findings for the pod's author; what is the same of several containers or volumes is one sentence."""
    owners: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        owners.setdefault((finding.path, finding.words), []).append(finding.owner)
    return [_sentence(names, path, words) for (path, words), names in owners.items()]


def _sentence(owners: list[str], path: str, words: str) -> str:
    named = [owner for owner in dict.fromkeys(owners) if owner]
    return f"{', '.join(named)}: {path} {words}" if named else f"the pod's {path} {words}"


def look(spec: dict[str, Any], table: Table, runtime: str) -> Iterator[Finding]:
    """Yield what the table says of the fields that a v1.PodSpec has, in the spec's order.

    ``runtime`` is how its containers are started, as PlanRuntime.kind.
    """
    yield from _Look(table, runtime).fields(spec, "PodSpec", "", ())


@dataclass(frozen=True)
class _Look:
    """One look at one spec."""

    table: Table
    runtime: str

    def fields(self, found: dict[str, Any], kind: str, owner: str, path: tuple[str, ...]) -> Iterator[Finding]:
        """Yield what the table says of the fields of one object."""
        rows = self.table[kind]
        for field, value in found.items():
            if value is None or value in _EMPTY:
                continue
            row = rows.get(field)
            if row is None:
                yield Finding(owner, ".".join((*path, field)), _UNKNOWN, refused=False)
            elif words := self._words(row, value, found):
                refused = words is row.refused
                text = words.replace("…", _shown(value)) if refused else words
                yield Finding(owner, ".".join((*path, field)), text, refused=refused)
            elif row.of:
                yield from self._within(value, row, owner, (*path, field))

    def _words(self, row: Row, value: Any, found: dict[str, Any]) -> str:
        """Return what the row says of a value in its object, empty where it says nothing: most have nothing to say."""
        words = (not row.elsewhere and row.refused) or row.ignored
        return words if words and self.runtime not in row.under and row.when.holds(value, found) else ""

    def _within(self, value: Any, row: Row, owner: str, path: tuple[str, ...]) -> Iterator[Finding]:
        for entry in value if isinstance(value, list) else [value]:
            if not isinstance(entry, dict):
                continue  # malformed, which those say who read the field
            if len(path) == 1 and row.field in _NAMED:
                named = f'{_NAMED[row.field]} "{str(entry.get("name", ""))[:_LONGEST]}"'
                yield from self.fields(entry, row.of, named, ())
            else:
                yield from self.fields(entry, row.of, owner, path)


def _shown(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
