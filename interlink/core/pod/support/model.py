"""One row of the table of support: a field of the Pod API, and what becomes of it here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Whether a value of the field, in its object, is one that the row's ``refused`` or ``ignored`` speaks of.
Holds = Callable[[Any, dict[str, Any]], bool]


@dataclass(frozen=True)
class When:
    """Which values are refused or ignored: for the reader, and as a test of (value, the object that has it)."""

    text: str
    holds: Holds


#: Any value but those that mean "not said": null, false, 0 and what is empty.
SAID = When("", lambda value, _: bool(value))
#: None: kube-apiserver writes the field into every pod, so that a word on it would be on every pod, too.
NEVER = When("no warning: kube-apiserver writes it into every pod", lambda _value, _: False)


def only(*values: object) -> When:
    """Return the test for exactly these values."""
    return When(" or ".join(f"`{_word(value)}`" for value in values), lambda value, _: value in values)


def other_than(*values: object) -> When:
    """Return the test for any value but these and null."""
    text = "other than " + " or ".join(f"`{_word(value)}`" for value in values)
    return When(text, lambda value, _: value is not None and value not in values)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One field. At least one of ``done``, ``refused`` and ``ignored`` says what becomes of it.

    ``refused`` and ``ignored`` go on from the field's name, in the pod's status and in its event; "…" stands for what
    differs from pod to pod.
    """

    field: str
    done: str = ""
    refused: str = ""
    ignored: str = ""
    when: When = SAID
    #: The API's type of the field's value, whose own fields have rows; empty: this row speaks for all that is in it.
    of: str = ""
    #: The container runtimes (PlanRuntime.kind) that do it; under others it is ignored. Empty: no runtime's matter.
    under: tuple[str, ...] = ()
    #: ``done`` by the cluster's own parts: this node has no share in it.
    cluster: bool = False
    #: ``refused`` is the whole sentence, said by the code that reads the field, and not by ``look.py``.
    elsewhere: bool = False
    #: The Kubernetes releases that know it, where not all from 1.30 on do.
    since: str = ""
    until: str = ""


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
