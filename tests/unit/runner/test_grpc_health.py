"""The gRPC health check, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.runner.grpc_health import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    STATUSES,
    GrpcError,
    HealthCheck,
    frame,
)

SERVING_BODY = b"\0\0\0\0\x02\x08\x01"


def answered(*frames: bytes, step: int = 10**6) -> HealthCheck:
    """Return a check that was fed with the frames, cut into pieces."""
    check, data = HealthCheck("localhost:1", "svc"), b"".join(frames)
    for start in range(0, len(data), step):
        check.feed(data[start : start + step])
    return check


def test_the_request_is_a_whole_unary_call() -> None:
    request = HealthCheck("localhost:50051", "my.Service").request()
    assert request.startswith(PREFACE)
    assert b"/grpc.health.v1.Health/Check" in request
    assert request.endswith(b"\0\0\0\0\x0c\x0a\x0amy.Service")


def test_a_long_service_name_keeps_its_length() -> None:
    request = HealthCheck("h:1", "s" * 300).request()
    assert request.endswith(b"\0" + (303).to_bytes(4, "big") + b"\x0a\xac\x02" + b"s" * 300)


@pytest.mark.parametrize("step", [1, 3, 10**6])
def test_the_status_is_read_however_the_bytes_come(step: int) -> None:
    headers = frame(HEADERS, END_HEADERS, 1, b"\x88")
    check = answered(frame(SETTINGS, 0, 0, b""), headers, frame(DATA, 0, 1, SERVING_BODY), step=step)
    assert check.status == "SERVING"


def test_a_padded_frame_and_a_message_in_two_frames_are_read() -> None:
    padded = frame(DATA, PADDED, 1, b"\x02" + SERVING_BODY[:3] + b"\0\0")
    assert answered(padded, frame(DATA, END_STREAM, 1, SERVING_BODY[3:])).status == "SERVING"


@pytest.mark.parametrize(
    ("body", "status"), [(b"\x08\x02", "NOT_SERVING"), (b"", STATUSES[0]), (b"\x08\x09", "status 9")]
)
def test_every_other_status_is_told_by_name(body: bytes, status: str) -> None:
    assert answered(frame(DATA, 0, 1, b"\0" + len(body).to_bytes(4, "big") + body)).status == status


def test_settings_and_pings_are_answered() -> None:
    check = HealthCheck("h:1", "")
    assert check.feed(frame(SETTINGS, 0, 0, b"")) == frame(SETTINGS, ACK, 0, b"")
    assert check.feed(frame(PING, 0, 0, b"12345678")) == frame(PING, ACK, 0, b"12345678")


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88")], "no health status"),
        ([frame(RST_STREAM, 0, 1, b"\0\0\0\x02")], "RST_STREAM"),
        ([frame(GOAWAY, 0, 0, b"\0" * 8)], "GOAWAY"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "HTTP/2"),
        ([frame(DATA, PADDED, 1, b"\xff")], "HTTP/2"),
        ([frame(DATA, 0, 1, b"\x01\0\0\0\0")], "no health status"),
        ([frame(DATA, 0, 1, b"\0\xff\xff\xff\xff")], "no health status"),
        ([frame(DATA, 0, 1, b"\0\0\0\0\x01\x80")], "no health status"),
    ],
)
def test_a_server_that_speaks_otherwise_is_told_by_what_it_did(frames: list[bytes], words: str) -> None:
    with pytest.raises(GrpcError, match=words):
        answered(*frames)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_no_bytes_do_more_than_fail(data: bytes, step: int) -> None:
    try:
        answered(data, step=step)
    except GrpcError:
        return


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=30)), max_size=6)
)
def test_no_frames_do_more_than_fail(found: list[tuple[int, int, int, bytes]]) -> None:
    try:
        answered(*(frame(*one) for one in found))
    except GrpcError:
        return
