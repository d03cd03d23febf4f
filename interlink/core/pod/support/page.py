"""docs/pod-api.md's text, made from the table. Called by ``interlink pod-api``."""

from interlink.core.pod.support import TYPES
from interlink.core.pod.support.model import NEVER, Row

_HEAD = """\
# The Pod API: what is supported

Made by `interlink pod-api`; do not edit. Every field of v1.PodSpec is here, of Kubernetes 1.30 and later, each under
the API's own type. A pod is never run in part without a word:

| | |
|---|---|
| done | as a kubelet does it, or as the right column says |
| by the cluster | the scheduler, an admission plugin or a controller does it; a node has no share in it |
| refused | the pod fails at once: UnsupportedPod, with these words in its message and in an event `FailedCreate` |
| ignored | the pod runs, and an event `FieldIgnored` on it says in these words that the field has no effect |

"…" stands for what differs from pod to pod: a name, a value. Before the words stands whose field it is: the pod's, or
`container "main":`. A field that is newer than this page is ignored with such an event, too.
`kubectl get events --field-selector reason=FieldIgnored` lists what the pods of a namespace ask for in vain. A plugin
of the InterLink protocol that is not ours does as it does, and says nothing of this.
"""
#: The types in the order of a reader's questions; the others follow as they are met.
_FIRST = (
    "PodSpec",
    "PodSecurityContext",
    "Container",
    "SecurityContext",
    "Volume",
    "VolumeMount",
    "Probe",
    "Lifecycle",
)


def page() -> str:
    """Return the page."""
    order = [*_FIRST, *(name for name in _met("PodSpec") if name not in _FIRST)]
    sections = [_section(name) for name in order]
    return "\n".join([_HEAD, *sections]).rstrip()


def _met(name: str, seen: tuple[str, ...] = ()) -> list[str]:
    """Return the types that a type leads to, itself first."""
    found = [name]
    for row in TYPES[name]:
        if row.of and row.of not in (*seen, *found):
            found += [each for each in _met(row.of, (*seen, *found)) if each not in found]
    return found


def _section(name: str) -> str:
    return "\n".join([f"## {name}", "", "| Field | Support | |", "|---|---|---|", *map(_line, TYPES[name]), ""])


def _line(row: Row) -> str:
    support = [word for word, there in (
        ("by the cluster" if row.cluster else "done", row.done),
        (_when("refused", row) + _under(row), row.refused),
        (_when("ignored", row) + _under(row), row.ignored),
    ) if there]  # fmt: skip
    before = "" if row.elsewhere else f"{row.field} "
    said = [row.done, *(f"*{before}{words}*" for words in (row.refused, row.ignored) if words)]
    name = f"`{row.field}`{_releases(row)}"
    cells = [name, "; ".join(support), ". ".join(filter(None, said))]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _when(verdict: str, row: Row) -> str:
    if row.when is NEVER:
        return f"{verdict} ({NEVER.text})"
    if row.when.text:
        return f"{verdict}: {row.when.text}"
    return f"{verdict} otherwise" if row.done and row.elsewhere else verdict


def _under(row: Row) -> str:
    return f" (not under {', '.join(row.under)})" if row.under else ""


def _releases(row: Row) -> str:
    if row.until:
        return f" ({row.since} to {row.until})" if row.since != row.until else f" ({row.since} alone)"
    return f" (from {row.since} on)" if row.since else ""
