"""One call of grpc.health.v1.Health/Check over HTTP/2, as bytes in and bytes out: no I/O. Called by ``handlers.py``.

Of HTTP/2 (RFC 9113) only what one unary call needs. The answer's headers are not decoded: a health status comes in a
DATA frame, and an answer without one is no health status, whatever its headers say.
"""

from typing import List, NamedTuple, Optional, Tuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
_FRAME_HEAD = 9
#: SETTINGS_MAX_FRAME_SIZE's initial value, which we never raise.
_LARGEST_FRAME = 16384
_LARGEST_ANSWER = 4096
_STREAM = 1
#: grpc.health.v1.HealthCheckResponse.ServingStatus. 0 is an empty message too, which gRPC's own Python server sends
#: before the error (in its trailers, which are not decoded here) that it does not know the service.
STATUSES = {0: "UNKNOWN, or the server does not know the service", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
SERVING = "SERVING"
NO_STATUS = "the server gave no health status: it may not implement grpc.health.v1.Health, or not know the service"


class GrpcError(Exception):
    """The server does not speak as a gRPC health server does."""


class Frame(NamedTuple):
    """One frame of HTTP/2."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class HealthCheck:
    """One call: send ``request()``, feed what comes, send what ``feed`` returns, until ``status`` is known."""

    def __init__(self, authority: str, service: str) -> None:
        self.authority, self.service = authority, service
        self.status: Optional[str] = None
        self._rest = b""
        self._body = b""

    def request(self) -> bytes:
        """Return everything that the client says by itself."""
        name = self.service.encode("utf-8")
        message = b"\x0a" + _varint(len(name)) + name if name else b""
        body = b"\0" + len(message).to_bytes(4, "big") + message
        # Indexed: :method POST, :scheme http; literal without indexing: :path and :authority by their index, the rest.
        headers = (
            b"\x83\x86"
            + b"\x04" + _text("/grpc.health.v1.Health/Check")
            + b"\x01" + _text(self.authority)
            + b"\0" + _text("content-type") + _text("application/grpc")
            + b"\0" + _text("te") + _text("trailers")
            + b"\0" + _text("user-agent") + _text("kube-probe")
        )  # fmt: skip
        return (
            PREFACE
            + frame(SETTINGS, 0, 0, b"")
            + frame(HEADERS, END_HEADERS, _STREAM, headers)
            + frame(DATA, END_STREAM, _STREAM, body)
        )

    def feed(self, data: bytes) -> bytes:
        """Take what came; return what is to be answered. Raises GrpcError."""
        self._rest += data
        answers: List[bytes] = []
        while self.status is None and len(self._rest) >= _FRAME_HEAD:
            length = int.from_bytes(self._rest[:3], "big")
            if length > _LARGEST_FRAME:
                raise GrpcError("the server does not speak HTTP/2")
            if len(self._rest) < _FRAME_HEAD + length:
                break
            head, self._rest = self._rest[:_FRAME_HEAD], self._rest[_FRAME_HEAD:]
            payload, self._rest = self._rest[:length], self._rest[length:]
            stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
            answers.append(self._take(Frame(head[3], head[4], stream, payload)))
        return b"".join(answers)

    def end(self) -> None:
        """Say that the server has closed the connection. Raises GrpcError while no status is known."""
        if self.status is None:
            raise GrpcError(NO_STATUS)

    def _take(self, got: Frame) -> bytes:
        if got.kind == SETTINGS and not got.flags & ACK:
            return frame(SETTINGS, ACK, 0, b"")
        if got.kind == PING and not got.flags & ACK:
            return frame(PING, ACK, 0, got.payload)
        if got.kind == GOAWAY:
            raise GrpcError("the server closes the connection (GOAWAY)")
        if got.stream == _STREAM:
            self._take_of_call(got)
        return b""

    def _take_of_call(self, got: Frame) -> None:
        if got.kind == RST_STREAM:
            raise GrpcError("the server refused the call (RST_STREAM)")
        if got.kind == DATA:
            self._body += _unpadded(got)
            self._look_at_body()
        if got.kind in (DATA, HEADERS) and got.flags & END_STREAM:
            self.end()

    def _look_at_body(self) -> None:
        """Read the one message of the answer once it is whole."""
        if len(self._body) > _LARGEST_ANSWER:
            raise GrpcError("the server's answer is no health status")
        if len(self._body) < 5:
            return
        length = int.from_bytes(self._body[1:5], "big")
        if self._body[0] != 0 or length > _LARGEST_ANSWER:
            raise GrpcError("the server's answer is no health status")
        if len(self._body) >= 5 + length:
            self.status = _serving_status(self._body[5 : 5 + length])


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame's bytes."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _unpadded(got: Frame) -> bytes:
    """Return a DATA frame's payload without its padding. Raises GrpcError for padding longer than the frame."""
    if not got.flags & PADDED:
        return got.payload
    if not got.payload or got.payload[0] >= len(got.payload):
        raise GrpcError("the server does not speak HTTP/2")
    return got.payload[1 : len(got.payload) - got.payload[0]]


def _serving_status(message: bytes) -> str:
    """Return field 1 of a HealthCheckResponse (protobuf); it is 0 where the message does not have it."""
    place, status = 0, 0
    while place < len(message):
        tag, place = _read_varint(message, place)
        if tag & 7 == 0:
            value, place = _read_varint(message, place)
            status = value if tag >> 3 == 1 else status
        elif tag & 7 == 2:
            length, place = _read_varint(message, place)
            place += length
        else:
            raise GrpcError("the server's answer is no health status")
    return STATUSES.get(status, "status {}".format(status))


def _read_varint(data: bytes, place: int) -> Tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 64:
        value |= (data[place] & 0x7F) << shift
        place += 1
        if not data[place - 1] & 0x80:
            return value, place
        shift += 7
    raise GrpcError("the server's answer is no health status")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _text(text: str) -> bytes:
    """Return a text as HPACK has it (RFC 7541, 5.2) without Huffman's code; its length's prefix has seven bits."""
    data = text.encode("utf-8")
    if len(data) < 0x7F:
        return bytes([len(data)]) + data
    return b"\x7f" + _varint(len(data) - 0x7F) + data
