"""Labels, taints and resources of a node, as kube-apiserver checks them."""

import pytest

from interlink.core.labels import is_capacity, is_extended_resource, is_label


@pytest.mark.parametrize(
    ("key", "value"),
    [("a", ""), ("a.b/c", "v"), ("kubernetes.io/hostname", "n-1.x"), ("A_b.c-d", "9" * 63), ("k" * 63, "A_b")],
)
def test_labels(key: str, value: str) -> None:
    assert is_label(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", ""),
        ("/a", ""),
        ("a/", ""),
        ("a/b/c", ""),
        ("A.b/c", ""),
        ("-a", ""),
        ("k" * 64, ""),
        ("a", "-"),
        ("a", "a b"),
        ("a", "9" * 64),
        ("ä", ""),
        ("a\n", ""),
    ],
)
def test_what_is_no_label(key: str, value: str) -> None:
    assert not is_label(key, value)


def test_extended_resources_have_a_domain() -> None:
    assert is_extended_resource("nvidia.com/gpu")
    assert not is_extended_resource("gpu")
    assert not is_extended_resource("nvidia.com/a b")


@pytest.mark.parametrize(
    ("resource", "amount", "good"),
    [
        ("cpu", "500m", True),
        ("memory", "1Gi", True),
        ("pods", "10", True),
        ("pods", "1k", True),
        ("pods", "500m", False),
        ("nvidia.com/gpu", "0.5", False),
        ("nvidia.com/gpu", "2", True),
        ("cpu", "-1", False),
        ("cpu", "lots", False),
    ],
)
def test_amounts(resource: str, amount: str, good: bool) -> None:
    assert is_capacity(resource, amount) is good
