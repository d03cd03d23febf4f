"""CRI log lines: whatever a file holds, the wanted part of it comes out."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.sidecars.crilog import (
    LogFormatter,
    LogQuery,
    end_offset,
    parse_line,
    parse_time,
    read_all,
    tail_offset,
)
from interlink.wire.messages import LogOptions

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LINES = (
    b"2026-01-01T11:00:00.000000001Z stdout F one\n"
    b"2026-01-01T11:30:00.5Z stderr P two, \n"
    b"2026-01-01T11:30:00.6Z stderr F and its end\n"
    b"2026-01-01T11:59:00Z stdout F  three\n"
)


def read(data: bytes = LINES, **options: Any) -> bytes:
    return read_all(data, LogQuery.of(LogOptions(**options), NOW))


def test_parts_of_a_line_are_joined() -> None:
    assert read() == b"one\ntwo, and its end\n three\n"


def test_timestamps_stand_at_the_start_of_whole_lines() -> None:
    assert read(Timestamps=True).splitlines() == [
        b"2026-01-01T11:00:00.000000001Z one",
        b"2026-01-01T11:30:00.5Z two, and its end",
        b"2026-01-01T11:59:00Z  three",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"Tail": 1}, b" three\n"),
        ({"Tail": 2}, b"two, and its end\n three\n"),
        ({"Tail": 99}, b"one\ntwo, and its end\n three\n"),
        ({"Bytes": 5}, b"one\nt"),
        ({"LimitBytes": 3}, b"one"),
        ({"SinceSeconds": 120}, b" three\n"),
        ({"SinceTime": "2026-01-01T11:15:00Z"}, b"two, and its end\n three\n"),
        ({"SinceTime": "2026-01-01T12:15:00+01:00"}, b"two, and its end\n three\n"),
        ({"SinceTime": "0001-01-01T00:00:00Z", "Tail": 1}, b" three\n"),
        ({"SinceTime": ""}, b"one\ntwo, and its end\n three\n"),
        ({"Stream": "Stdout"}, b"one\n three\n"),
        ({"Stream": "Stderr"}, b"two, and its end\n"),
        ({"Stream": "Stderr", "LimitBytes": 5}, b"two, "),
        ({"Stream": "All"}, b"one\ntwo, and its end\n three\n"),
        ({"SinceSeconds": 10**18}, b"one\ntwo, and its end\n three\n"),
    ],
)
def test_options(options: dict[str, Any], expected: bytes) -> None:
    assert read(**options) == expected


def test_times_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        LogQuery.of(LogOptions(SinceTime="yesterday"), NOW)


def test_lines_of_no_format_pass_as_they_are() -> None:
    assert read(b"Segmentation fault\n\nlast") == b"Segmentation fault\n\nlast\n"
    assert parse_line(b"2026 stdout X y").text == b"2026 stdout X y"


@pytest.mark.parametrize(
    "text", ["2026-01-01T11:30:00Z", "2026-01-01T11:30:00.123456789Z", "2026-01-01T12:30:00.1+01:00"]
)
def test_times(text: str) -> None:
    assert abs(parse_time(text) - datetime(2026, 1, 1, 11, 30, tzinfo=UTC)) < timedelta(seconds=1)


@given(st.binary(max_size=300), st.integers(0, 5), st.integers(0, 50), st.booleans())
def test_any_bytes_give_some_output(data: bytes, tail: int, limit: int, timestamps: bool) -> None:
    options = LogOptions(Tail=tail, LimitBytes=limit, Timestamps=timestamps, SinceTime="2026-01-01T00:00:00Z")
    output = read_all(data, LogQuery.of(options, NOW))
    assert not limit or len(output) <= limit


texts = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b""))
entries = st.lists(st.tuples(st.booleans(), texts), max_size=30)


@given(entries, st.integers(1, 10))
def test_the_tail_is_the_end_of_the_whole(parts: list[tuple[bool, bytes]], tail: int) -> None:
    data = b"".join(b"2026-01-01T00:00:00Z stdout %s %s\n" % (b"P" if part else b"F", text) for part, text in parts)
    lines = [b""]
    for part, text in parts:
        lines[-1] += text + (b"" if part else b"\n")
        if not part:
            lines.append(b"")
    if not (parts and parts[-1][0]):
        lines.pop()
    assert read_all(data, LogQuery()) == b"".join(lines)
    assert read_all(data, LogQuery(tail=tail)) == b"".join(lines[-tail:])


@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=8), st.integers(1, 4))
def test_the_tail_is_found_across_blocks(lengths: list[int], tail: int) -> None:
    lines = [b"2026-01-01T00:00:00Z stdout F " + b"x" * length + b"\n" for length in lengths]
    assert tail_offset(io.BytesIO(b"".join(lines)), tail) == sum(map(len, lines[: max(0, len(lines) - tail)]))


@given(st.lists(st.integers(0, 70_000), max_size=4), st.integers(0, 70_000))
def test_the_end_is_that_of_the_last_whole_line(lengths: list[int], half: int) -> None:
    whole = b"".join(b"x" * length + b"\n" for length in lengths)
    assert end_offset(io.BytesIO(whole + b"x" * half)) == len(whole)


def test_what_is_wanted_from_the_end_on_is_wanted_whatever_anybodys_clock_says() -> None:
    query = LogQuery.of(LogOptions(FromEnd=True, SinceTime="2099-01-01T00:00:00Z"), NOW)
    assert (query.from_end, query.since) == (True, None)


@given(entries, st.lists(st.integers(1, 7), max_size=10), st.integers(0, 60))
def test_feeding_in_pieces_is_feeding_at_once(parts: list[tuple[bool, bytes]], cuts: list[int], limit: int) -> None:
    lines = [b"2026-01-01T00:00:00Z stdout %s %s" % (b"P" if part else b"F", text) for part, text in parts]
    query = LogQuery(timestamps=True, limit=limit or None)
    formatter, output, rest = LogFormatter(query), b"", list(lines)
    for cut in [*cuts, len(lines)]:
        output += formatter.feed(rest[:cut])
        rest = rest[cut:]
    assert output == LogFormatter(query).feed(lines)
