"""Several calls in one request (``POST /batch``): our extension of the protocol for who has many pods to tell of.

Read by the virtual kubelet, the InterLink API and the sidecars; does no I/O. Each call keeps the body, the answer and
the session of the request that it stands for.
"""

import msgspec

PATH = "/batch"
#: What a batch may hold: the calls that change one pod each and are answered at once.
CALLS = ("/create", "/update", "/delete")
#: The most calls of one batch.
MOST = 64


class Call(msgspec.Struct, kw_only=True):
    """One request of a batch; ``session`` is its InterLink-Http-Session."""

    path: str
    body: msgspec.Raw
    session: str = ""


class Batch(msgspec.Struct, kw_only=True):
    """What is posted; the calls are of different pods, and may be carried out in any order and beside one another."""

    calls: list[Call]


class Answer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the call alone would have been answered: HTTP status, body and Retry-After."""

    status: int
    body: str = ""
    retryAfter: str = ""


class BatchReply(msgspec.Struct, kw_only=True):
    """One answer for each call, in the calls' order."""

    answers: list[Answer]
