"""Carries out a batch: each of its calls as a request of its own to the same app, without a connection.

Used by the sidecars' app, and ``read_calls`` by the InterLink API. So a call of a batch meets the very route, checks,
errors and log lines that it would meet alone.
"""

import io
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import falcon

from interlink.http.app import SESSION_HEADER, App, read_json, write_json
from interlink.wire.batch import CALLS, MOST, Answer, Batch, BatchReply, Call

_SESSION = f"HTTP_{SESSION_HEADER.upper().replace('-', '_')}"
#: What stands for a call whose thread has ended; all that can be foreseen is answered by the app itself.
_BROKEN = Answer(status=500, body="the call broke off; the service's log has the traceback")


class Batches:
    """The route of one app."""

    def __init__(self, app: App) -> None:
        self.app = app

    def respond(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer each call of the batch. Raises falcon.HTTPBadRequest where one has no place in a batch."""
        calls = read_calls(request)
        left = deque(enumerate(calls))
        answers = [_BROKEN] * len(calls)

        def carry_out() -> None:
            while left:
                try:
                    number, call = left.popleft()
                except IndexError:
                    return  # another thread took the last one
                answers[number] = self._answer(request.env, call)

        # A call may wait for Slurm: none of the others waits for it, so a batch takes as long as its slowest call.
        helpers = []
        for _ in calls[1:]:
            if not left:
                break  # calls that need no time are done before there is a thread for each
            helpers.append(threading.Thread(target=carry_out, name="batch", daemon=True))
            helpers[-1].start()
        carry_out()
        for helper in helpers:
            helper.join()
        write_json(response, BatchReply(answers=answers))

    def _answer(self, environ: dict[str, Any], call: Call) -> Answer:
        body = bytes(call.body)
        own = {
            **environ,
            "REQUEST_METHOD": "POST",
            "PATH_INFO": call.path,
            "QUERY_STRING": "",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            _SESSION: call.session,
        }
        head = _Head()
        content = b"".join(self.app(own, head))
        return Answer(status=head.status, body=content.decode(), retryAfter=head.headers.get("retry-after", ""))


class _Head:
    """WSGI's start_response, which keeps what it is told."""

    status = 500
    headers: Mapping[str, str] = {}

    def __call__(self, status: str, headers: list[tuple[str, str]], *_error: object) -> Callable[[bytes], object]:
        self.status, self.headers = int(status[:3]), dict(headers)
        return bytes


def read_calls(request: falcon.Request) -> list[Call]:
    """Return the batch's calls. Raises falcon.HTTPBadRequest for too many, or one that has no place in a batch."""
    calls: list[Call] = read_json(request, Batch).calls
    if len(calls) > MOST:
        raise falcon.HTTPBadRequest(title="malformed batch", description=f"{len(calls)} calls, {MOST} are the most")
    for number, call in enumerate(calls):
        if call.path not in CALLS:
            raise falcon.HTTPBadRequest(
                title="malformed batch", description=f"calls[{number}].path is none of {', '.join(CALLS)}"
            )
    return calls
