"""A text of sbatch flags → options, as sbatch itself reads them: long and short, with and without an equals sign.

Called by ``placement`` for a pod's annotation and by the configuration for the administrator's flags. Never a shell:
the text is split by its quotes alone. Invariant: what comes out are options of the table in ``sbatch``, each once, by
their long names, with values that cannot be taken for another option or another line.
"""

import difflib
import shlex
from collections.abc import Iterable, Iterator

from interlink.core.errors import UnsupportedPod
from interlink.core.job.sbatch import ALIASES, INSTEAD_OF_EACH_OTHER, OPTIONS, SHORT

#: sbatch's long options without their dashes, and their values; "" where there is none.
Flags = dict[str, str]
_MOST_LETTERS = 1024


def parse_flags(where: str, text: str) -> Flags:
    """Return the options in the text; of a repeated one the last counts, as with sbatch.

    Raises UnsupportedPod, which names ``where`` and the word, for what sbatch would not understand either.
    """
    return parse_words(where, split_words(where, text))


def parse_words(where: str, words: Iterable[str]) -> Flags:
    """Return the options in words that were split already; see ``parse_flags``."""
    flags: Flags = {}
    for name, value in _options(where, iter(words)):
        flags = merge(flags, {name: check_value(where, name, value)})
    return flags


def split_words(where: str, text: str) -> list[str]:
    """Split a text into words at blanks, but not inside quotes. Raises UnsupportedPod for a quote that does not end."""
    if not text:
        return []
    if "\0" in text:
        raise UnsupportedPod(f"{where} has a NUL byte")
    try:
        return shlex.split(text)
    except ValueError:
        raise UnsupportedPod(f"{where}: a quote in {text[:80]!r} does not end") from None


def merge(*layers: Flags) -> Flags:
    """Lay flags over each other, the stronger last; an option also takes the place of those that mean its opposite."""
    merged: Flags = {}
    for layer in layers:
        for name, value in layer.items():
            for group in INSTEAD_OF_EACH_OTHER:
                if name in group:
                    for other in group:
                        merged.pop(other, None)
            merged[name] = value
    return merged


def check_value(where: str, name: str, value: str) -> str:
    """Return an option's value if no reader of it can take it for more than one; raise UnsupportedPod if not."""
    if OPTIONS[name] == "value" and not value.strip():
        raise UnsupportedPod(f"{where}: --{name} needs a value")
    if value.startswith("-"):
        raise UnsupportedPod(f'{where}: --{name} cannot have a value that begins with "-": {value[:60]!r}')
    if len(value) > _MOST_LETTERS or not value.isprintable():
        raise UnsupportedPod(
            f"{where}: the value of --{name} has letters that cannot be printed, or more than {_MOST_LETTERS}: "
            f"{value[:60]!r}"
        )
    return value


def _options(where: str, words: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield each option's long name and its value."""
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            yield from _option(where, _long(where, name), value if equals else None, words)
        elif word.startswith("-") and len(word) > 1 and word != "--":
            yield from _short_options(where, word, words)
        else:
            raise UnsupportedPod(f"{where}: {word[:60]!r} belongs to no option of sbatch")


def _option(where: str, name: str, value: str | None, words: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield a long option, with the next word as its value where it needs one and has none."""
    takes = OPTIONS[name]
    if takes == "nothing" and value is not None:
        raise UnsupportedPod(f"{where}: --{name} takes no value, and was given {value[:60]!r}")
    if takes == "value" and value is None:
        value = next(words, "")
    yield name, value or ""


def _short_options(where: str, word: str, words: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield the options of a word such as -n8, -n=8, -n (with 8 behind it) or -HO."""
    rest = word[1:]
    while rest:
        letter, rest = rest[0], rest[1:]
        name = SHORT.get(letter)
        if name is None:
            raise UnsupportedPod(f"{where}: -{letter} is no option of sbatch (in {word[:60]!r})")
        if OPTIONS[name] == "value":
            yield name, rest.removeprefix("=") if rest else next(words, "")
            return
        if rest.startswith("="):
            raise UnsupportedPod(f"{where}: -{letter} takes no value, and was given {rest[1:61]!r}")
        yield name, ""


def _long(where: str, name: str) -> str:
    """Return the option's own name. Raises UnsupportedPod with the nearest one for what is none."""
    name = ALIASES.get(name, name)
    if name not in OPTIONS:
        near = difflib.get_close_matches(name, OPTIONS, n=1, cutoff=0.0)[0]
        raise UnsupportedPod(f"{where}: --{name[:60]} is no option of sbatch; the nearest one is --{near}")
    return name
