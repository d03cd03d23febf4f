"""``$(NAME)`` in environment values, commands and arguments, exactly as kubelet expands it.

Source of the rule: k8s.io/kubernetes/third_party/forked/golang/expansion. Pure; called by the
virtual kubelet for environments, and by the core for what a peer left unexpanded.
"""

from collections.abc import Mapping


class MissingValueError(Exception):
    """A reference names a variable that has no value."""


def expand(text: str, variables: Mapping[str, str], *, strict: bool = False) -> str:
    """Return the text with references replaced; unknown ones stay as they are, ``$$`` gives one ``$``.

    Where unknown ones may not stay (``strict``, as in subPathExpr), raises MissingValueError.
    """
    if "$" not in text:
        return text
    parts = []
    position = 0
    while (dollar := text.find("$", position)) >= 0 and dollar + 1 < len(text):
        parts.append(text[position:dollar])
        follower = text[dollar + 1]
        position = dollar + 2
        if follower == "$":
            parts.append("$")
        elif follower == "(":
            end = text.find(")", position)
            if end < 0:
                parts.append("$(")
                continue
            name = text[position:end]
            if strict and name not in variables:
                raise MissingValueError(f'missing value for "{name}"')
            parts.append(variables.get(name, f"$({name})"))
            position = end + 1
        else:
            parts.append("$" + follower)
    parts.append(text[position:])
    return "".join(parts)
