"""What one process counts: its requests to kube-apiserver and to InterLink.

Made by ``main.py``; the clients are given ``traces``, so that neither knows of it.
"""

import time
from types import SimpleNamespace
from typing import Any

import aiohttp

from interlink.vk.metrics import Counter, Histogram

NO_ANSWER = "none"


class Meter:
    """The requests of this process. Their code is ``none`` where no answer came."""

    def __init__(self) -> None:
        self.requests = Counter(
            "interlink_vk_requests_total", "Requests by whom they were sent to.", ("to", "method", "code")
        )
        self.seconds = Histogram(
            "interlink_vk_request_duration_seconds", "Time until the head of the answer was there.", ("to",)
        )

    def traces(self, to: str) -> list[aiohttp.TraceConfig]:
        """Return what counts the requests of a client session; ``to`` is whom it talks to."""

        async def start(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
            context.began = time.perf_counter()

        async def end(_session: aiohttp.ClientSession, context: SimpleNamespace, params: Any) -> None:
            self._count(to, params.method, str(params.response.status), context.began)

        async def fail(_session: aiohttp.ClientSession, context: SimpleNamespace, params: Any) -> None:
            self._count(to, params.method, NO_ANSWER, context.began)

        config = aiohttp.TraceConfig()
        config.on_request_start.append(start)
        config.on_request_end.append(end)
        config.on_request_exception.append(fail)
        return [config]

    def text(self) -> str:
        """Return it in Prometheus' format."""
        return self.requests.text() + self.seconds.text()

    def _count(self, to: str, method: str, code: str, began: float) -> None:
        self.requests.add(to, method, code)
        self.seconds.observe(time.perf_counter() - began, to)
