"""JSON into typed messages, from any thread. Every threaded part decodes through here.

Reason: msgspec builds what it knows of a Struct when the type is first decoded, and two threads that do so at once end
the process with SIGSEGV (seen with 0.22). So each type's decoder is built once, under a lock; it is faster, too.
"""

import threading
from types import UnionType
from typing import Any, TypeVar

import msgspec

Message = TypeVar("Message")
_decoders: "dict[Any, msgspec.json.Decoder[Any]]" = {}
_building = threading.Lock()


def decode_json(data: bytes | str | msgspec.Raw, kind: type[Message] | UnionType) -> Message:
    """Return the JSON as a message of that type. Raises msgspec.MsgspecError, UnicodeDecodeError, RecursionError."""
    message: Message = _decoder(kind).decode(data)
    return message


def convert(value: object, kind: type[Message]) -> Message:
    """Return plain JSON values as a message of that type. Raises msgspec.ValidationError."""
    _decoder(kind)
    return msgspec.convert(value, kind)


def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    decoder = _decoders.get(kind)
    if decoder is None:
        with _building:
            decoder = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    return decoder
