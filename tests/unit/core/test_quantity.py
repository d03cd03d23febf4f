"""Resource quantities: exact, as the Kubernetes API reads them, and never a burden."""

import contextlib
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.core.quantity import QuantityError, parse_amount, parse_quantity

SUFFIXES: dict[str, Fraction | int] = {
            "": 1, "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "k": 1000, "M": 10**6,
            "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
            "Pi": 2**50, "Ei": 2**60, "e3": 1000, "E3": 1000, "e-3": Fraction(1, 1000)}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", Fraction(1, 2)), ("1Gi", 2**30), ("1e3", 1000), (2, 2), (0.5, Fraction(1, 2)), ("128974848", 128974848),
     ("1.5G", 1500000000), ("0.1", Fraction(1, 10)), (".5", Fraction(1, 2)), ("5.", 5), ("+1", 1), ("-1", -1),
     ("1E", 10**18)],
)  # fmt: skip
def test_what_kubernetes_writes_is_read_exactly(text: str | float, value: Fraction | int) -> None:
    assert parse_quantity(text) == value


@given(st.integers(0, 10**15), st.sampled_from(sorted(SUFFIXES)))
def test_every_suffix_multiplies(number: int, suffix: str) -> None:
    assert parse_quantity(f"{number}{suffix}") == number * SUFFIXES[suffix]


@pytest.mark.parametrize(
    "text",
    ["", "m", "1Kb", "1 Gi", "1gi", "0x10", "1e", "1e999999999", "1Gie3", "1m5", "nan", "inf", "\u0661", "1\n",
     "9" * 100, True],
)  # fmt: skip
def test_what_is_no_quantity_is_named_with_what_is_allowed(text: str) -> None:
    with pytest.raises(QuantityError, match=r"is no Kubernetes quantity.*Ki Mi Gi"):
        parse_quantity(text)


@given(st.text())
def test_any_text_is_a_number_or_an_error(text: str) -> None:
    with contextlib.suppress(QuantityError):
        assert isinstance(parse_quantity(text), Fraction)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_milli_amounts_add_up_without_a_rounding_error(one: int, other: int) -> None:
    assert parse_quantity(f"{one}m") + parse_quantity(f"{other}m") == parse_quantity(f"{one + other}m")


@given(st.integers(0, 10**12) | st.floats(1e-9, 1e12))
def test_a_plain_json_number_is_its_own_value(number: float) -> None:
    assert parse_quantity(number) == Fraction(str(number))


@given(st.from_regex(r"[+-]?[0-9]{1,60}(\.[0-9]{0,60})?([eE][+-]?[0-9]{1,4}|[KMGTPE]i?|[num])?", fullmatch=True))
def test_no_quantity_makes_a_number_that_is_long_to_reckon_with(text: str) -> None:
    with contextlib.suppress(QuantityError):
        number = parse_quantity(text)
        assert max(number.numerator.bit_length(), number.denominator.bit_length()) < 1000


@given(st.text(min_size=1))
def test_the_refusal_repeats_no_long_text(text: str) -> None:
    with pytest.raises(QuantityError) as refused:
        parse_quantity(text * 1000)
    assert len(str(refused.value)) < 300


@given(st.decimals(-(10**25), 10**25, allow_nan=False, places=3), st.sampled_from(sorted(SUFFIXES)))
def test_an_amount_is_the_same_number_and_whole_where_it_can_be(number: Decimal, suffix: str) -> None:
    quantity, amount = parse_quantity(f"{number:f}{suffix}"), parse_amount(f"{number:f}{suffix}")
    assert amount == quantity
    assert isinstance(amount, int) == (quantity.denominator == 1)
