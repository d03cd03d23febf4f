"""Container logs in the CRI format → what ``kubectl logs`` shows. Pure but for reading a seekable file backwards.

One line of such a file is ``<RFC 3339 time> <stdout|stderr> <P|F> <text>``: P is a part of a line, F its end. Used by
every sidecar whose containers log that way. Invariant: any bytes at all give some output and never an error.
"""

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from interlink.wire.messages import LogOptions

_BLOCK = 64 * 1024
#: v1.PodLogOptions' words for one stream; All is the third.
ONE_STREAM = ("Stdout", "Stderr")


@dataclass(frozen=True)
class LogQuery:
    """What of a log is wanted: LogOptions with "not set" as None."""

    timestamps: bool = False
    tail: int | None = None
    limit: int | None = None
    since: datetime | None = None
    #: One stream alone, as the files call it: stdout or stderr.
    stream: bytes | None = None
    #: Nothing of what is there by now.
    from_end: bool = False

    @classmethod
    def of(cls, options: LogOptions, now: datetime) -> "LogQuery":
        """Return the query of a request. Raises ValueError for a SinceTime that is no RFC 3339 time."""
        since = parse_time(options.SinceTime) if options.SinceTime else None
        if since is not None and since.year <= 1:
            since = None
        if options.FromEnd:
            since = None
        elif options.SinceSeconds:
            since = now - timedelta(seconds=min(options.SinceSeconds, 10**9))
        return cls(
            timestamps=options.Timestamps,
            tail=options.Tail or None,
            limit=options.LimitBytes or options.Bytes or None,
            since=since,
            stream=options.Stream.lower().encode() if options.Stream in ONE_STREAM else None,
            from_end=options.FromEnd,
        )


@dataclass(frozen=True)
class Entry:
    """One line of the file. ``time`` as written; ``partial``: the text goes on in the next line of its stream."""

    time: bytes
    stream: bytes
    partial: bool
    text: bytes


def parse_line(line: bytes) -> Entry:
    """Return the line's entry; a line in no CRI format is taken as text without a time."""
    parts = line.rstrip(b"\n").split(b" ", 3)
    if len(parts) >= 3 and parts[1] in (b"stdout", b"stderr") and parts[2].split(b":", 1)[0] in (b"P", b"F"):
        return Entry(parts[0], parts[1], parts[2][:1] == b"P", parts[3] if len(parts) > 3 else b"")
    return Entry(b"", b"", False, line.rstrip(b"\n"))


def parse_time(text: str) -> datetime:
    """Return an RFC 3339 time, to the microsecond. Raises ValueError."""
    head, dot, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    fraction = rest[:digits][:6] if dot else ""
    moment = datetime.fromisoformat(head + (f".{fraction:0<6}" if fraction else "") + rest[digits:])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class LogFormatter:
    """Turns the file's lines into output, one after the other; ``full`` once the limit is reached."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        self._left = query.limit
        self._at_line_start = True

    @property
    def full(self) -> bool:
        """Whether nothing more is wanted."""
        return self._left == 0

    def feed(self, lines: Iterable[bytes]) -> bytes:
        """Return the output of the lines."""
        output = b"".join(self._format(parse_line(line)) for line in lines)
        if self._left is not None:
            output = output[: self._left]
            self._left -= len(output)
        return output

    def _format(self, entry: Entry) -> bytes:
        if self._query.stream is not None and entry.stream not in (self._query.stream, b""):
            return b""
        if self._query.since is not None and _is_before(entry.time, self._query.since):
            return b""
        stamp = entry.time + b" " if self._query.timestamps and self._at_line_start and entry.time else b""
        self._at_line_start = not entry.partial
        return stamp + entry.text + (b"" if entry.partial else b"\n")


def _is_before(time: bytes, since: datetime) -> bool:
    try:
        return parse_time(time.decode("ascii", "replace")) < since
    except ValueError:
        return False


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Return where the last so many whole output lines begin, read from the file's end."""
    return find_tail(file, lines)[0]


def find_tail(file: BinaryIO, lines: int) -> tuple[int, int]:
    """Return where the last so many whole output lines begin, and how many of them the file has."""
    size = end = file.seek(0, os.SEEK_END)
    rest, found = b"", 0
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        block = file.read(end - begin) + rest
        pieces = list(_lines_backwards(block, begin, whole_start=begin == 0))
        for offset, line in pieces:
            closed = not parse_line(line).partial or offset + len(line) == size
            if closed:
                found += 1
                if found > lines:
                    return offset + len(line), lines
        rest = block if not pieces else block[: pieces[-1][0] - begin]
        end = begin
    return 0, found


def end_offset(file: BinaryIO) -> int:
    """Return where the next line begins: after the last whole one, for the last of all may be half written."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _lines_backwards(block: bytes, offset: int, *, whole_start: bool) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) from the block's end; its first line only where it surely begins there."""
    end = len(block)
    while end > 0:
        begin = block.rfind(b"\n", 0, end - 1) + 1
        if begin == 0 and not whole_start:
            return
        yield offset + begin, block[begin:end]
        end = begin


def read_all(data: bytes, query: LogQuery) -> bytes:
    """Return the output of a whole file's bytes."""
    file = io.BytesIO(data)
    file.seek(tail_offset(file, query.tail) if query.tail else 0)
    return LogFormatter(query).feed(file.readlines())
