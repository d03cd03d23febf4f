"""Gathers calls that come close together into batches: a request costs three processes more than most calls do.

Used by ``client.py`` for what changes pods. A call that comes alone is sent alone and at once; only where more than
RATE a second come, and InterLink takes batches, they wait for each other, for 1 / RATE seconds at most; while
kube-apiserver is busy, for 1 / BUSY_RATE (``turns.py``).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from interlink.vk.edge.errors import AwayError
from interlink.vk.edge.transport import Answer, Transport
from interlink.vk.turns import Turns
from interlink.wire import batch
from interlink.wire.batch import Batch, BatchReply, Call

log = logging.getLogger(__name__)

#: Batches a second, and calls at once after a quiet time.
RATE, AT_ONCE = 20.0, 20.0
#: A call of more bytes than this travels alone: it is its body that costs, and proxies refuse large requests.
LARGE = 64 * 1024
#: Seconds that a create may take, and so a batch: the InterLink API gives its plugin 45 s.
LONGEST = 60.0
#: The methods of the calls, as the public virtual kubelet sends them.
METHODS = {"/create": "POST", "/update": "POST", "/delete": "DELETE"}
#: Answers to a batch whose calls may still be taken one by one; the first two come from an InterLink without the route.
_NO_ROUTE = (404, 405)
_NO_BATCH = (*_NO_ROUTE, 400, 413)
#: How long calls go one by one then, in seconds.
WITHOUT_ROUTE = 600.0


class Batcher:
    """The calls that wait to be sent together.

    ``offered`` says whether the plugin takes batches, ``busy`` whether kube-apiserver has all it can do.
    """

    def __init__(self, transport: Transport, offered: Callable[[], bool], busy: Callable[[], bool]) -> None:
        self.transport = transport
        self.offered = offered
        self._without_until = float("-inf")
        self._turns = Turns(RATE, AT_ONCE, busy)
        self._waiting: list[tuple[Call, asyncio.Future[Answer]]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def call(self, path: str, body: bytes) -> Answer:
        """Return the call's answer, whatever its status. Raises AwayError where there is none."""
        call = Call(path=path, body=msgspec.Raw(body), session=self.transport.session(path))
        if len(body) > LARGE or not self._takes_batches():
            return await self._alone(call)
        if not self._waiting:
            pause = self._turns.next()
            if not pause:
                return await self._alone(call)
            asyncio.get_running_loop().call_later(pause, self._go)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answer))
        return await answer

    def _takes_batches(self) -> bool:
        return self.offered() and time.monotonic() >= self._without_until

    def _go(self) -> None:
        # Whoever has given up waiting does not want it sent any more: its process ends.
        waiting = [entry for entry in self._waiting if not entry[1].done()]
        self._waiting = []
        for start in range(0, len(waiting), batch.MOST):
            task = asyncio.create_task(self._tell(waiting[start : start + batch.MOST]))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _tell(self, sent: Sequence[tuple[Call, "asyncio.Future[Answer]"]]) -> None:
        outcomes: Sequence[Answer | BaseException]
        try:
            outcomes = await self._together([call for call, _ in sent])
        except Exception as error:  # each caller's to handle, as if it had sent its call by itself
            outcomes = [error] * len(sent)
        for (_, future), outcome in zip(sent, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    async def _together(self, calls: Sequence[Call]) -> Sequence[Answer | BaseException]:
        """Send them as a batch; where InterLink does not take it, each by itself. Raises AwayError."""
        if len(calls) > 1:
            body = msgspec.json.encode(Batch(calls=list(calls)))
            whole = await self.transport.send("POST", batch.PATH, body, timeout=LONGEST)
            if whole.status == 200:
                return self._read(whole.content, len(calls))
            if whole.status not in _NO_BATCH:
                raise self.transport.away(batch.PATH, whole)
            if whole.status in _NO_ROUTE:
                log.warning("%s takes no batches, though its plugin does: calls go one by one", self.transport.name)
                self._without_until = time.monotonic() + WITHOUT_ROUTE
        return await asyncio.gather(*(self._alone(call) for call in calls), return_exceptions=True)

    def _read(self, content: bytes, calls: int) -> list[Answer]:
        try:
            answers = msgspec.json.decode(content, type=BatchReply).answers
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AwayError(
                f"{self.transport.name}{batch.PATH} answered what is no InterLink reply: {error}"
            ) from error
        if len(answers) != calls:
            raise AwayError(f"{self.transport.name}{batch.PATH} gave {len(answers)} answers to {calls} calls")
        return [Answer(answer.status, answer.body.encode(), answer.retryAfter) for answer in answers]

    async def _alone(self, call: Call) -> Answer:
        body = bytes(call.body)
        return await self.transport.send(METHODS[call.path], call.path, body, session=call.session, timeout=LONGEST)
