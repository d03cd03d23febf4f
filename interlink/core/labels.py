"""The syntax of labels, taints and extended resources, as kube-apiserver checks it.

Source of the rules: k8s.io/apimachinery/pkg/util/validation (IsQualifiedName, IsValidLabelValue). Used for what the
configuration and a site's ping say of a virtual node: one wrong word would have the whole node refused.
"""

import re

from interlink.core.quantity import QuantityError, parse_quantity

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)


def is_label(key: str, value: str) -> bool:
    """Whether a label, or a taint without its effect, may read so."""
    return bool(_KEY.fullmatch(key) and _VALUE.fullmatch(value))


def is_extended_resource(name: str) -> bool:
    """Whether this may name an extended resource: DOMAIN/NAME."""
    return "/" in name and bool(_KEY.fullmatch(name))


def is_capacity(resource: str, amount: str) -> bool:
    """Whether a node may have so much of it: not less than nothing, and whole pieces of what comes in pieces."""
    try:
        number = parse_quantity(amount)
    except QuantityError:
        return False
    in_pieces = resource == "pods" or "/" in resource
    return number >= 0 and (not in_pieces or number.denominator == 1)
