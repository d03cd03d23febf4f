"""``kubectl logs``: /containerLogs/NAMESPACE/POD/CONTAINER, streamed through from the edge as it comes.

A route of ``routes.py``. The edge's words come with 400, which kubectl shows; 404 is for pods and containers that are
not here at all.
"""

from typing import Any

from interlink.vk.edge.client import EdgeClient
from interlink.vk.edge.errors import AwayError, LogsError
from interlink.vk.edge.link import Link
from interlink.vk.kubelet.connection import READER_SECONDS, CutOffError, Reply, Request
from interlink.vk.pods.record import PodRecord
from interlink.vk.pods.store import PodStore
from interlink.vk.times import now_micros, parse_time
from interlink.wire.messages import LogOptions, LogRequest

Json = dict[str, Any]

#: v1.PodLogOptions.stream; which options go together: ValidatePodLogOptions in pkg/apis/core/validation.
BOTH, ONE_STREAM = "All", ("Stdout", "Stderr")


class OptionError(Exception):
    """A query parameter is wrong: ``status`` is kubelet's 400 for what cannot be read, 422 for what must not be."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Logs:
    """Serves the logs of the node's pods."""

    def __init__(self, store: PodStore, edge: EdgeClient, link: Link) -> None:
        self.store = store
        self.edge = edge
        self.link = link

    async def serve(self, request: Request, reply: Reply, namespace: str, name: str, container: str) -> None:
        """Answer one request."""
        record = self.store.by_name(namespace, name)
        if record is None:
            await reply.text(404, f'pod "{name}" in namespace "{namespace}" is not on this node\n')
            return
        if container not in container_names(record.load()):
            await reply.text(404, f'container "{container}" not found in pod "{name}"\n')
            return
        try:
            options, limit = log_options(request)
        except OptionError as error:
            await reply.text(error.status, f"{error}\n")
            return
        if options.Stream and not self.link.has_streams:
            await reply.text(400, "this site's plugin cannot return one stream of a log alone\n")
            return
        message = LogRequest(
            Namespace=namespace, PodUID=record.uid, PodName=name, ContainerName=container, Opts=options
        )
        await self._stream(message, reply, record, limit)

    async def _stream(self, message: LogRequest, reply: Reply, record: PodRecord, limit: int | None) -> None:
        try:
            async with self.edge.logs(message) as source:
                reply.patience = READER_SECONDS
                await reply.start(200, "text/plain; charset=utf-8")
                if limit == 0:
                    return
                async for chunk in source:
                    piece = chunk if limit is None else chunk[:limit]
                    await reply.write(piece)
                    if limit is not None:
                        limit -= len(piece)
                        if limit <= 0:
                            return
        except LogsError as error:
            if error.status == 404 and not record.ran and not record.terminal:
                # The edge does not know the pod yet: to kubectl that is a container that has not started.
                waiting = f'container "{message.ContainerName}" in pod "{message.PodName}" is waiting to start'
                await reply.text(400, f"{waiting}: ContainerCreating\n")
                return
            # As a kubelet's, whose 404 is for pods and containers alone: of a 404 kubectl does not show the words.
            await reply.text(400, f"{error}\n")
        except AwayError as error:
            if reply.started:
                raise CutOffError(str(error)) from error
            await reply.text(500, f"{error}\n")


def container_names(pod: Json) -> list[str]:
    """Return the names of all containers of the pod."""
    spec = pod["spec"]
    return [entry["name"] for key in ("initContainers", "containers") for entry in spec.get(key) or []]


def log_options(request: Request) -> tuple[LogOptions, int | None]:
    """Return the wire's options, and the limit in bytes that we hold ourselves. Raises OptionError.

    The limit is 0 where no line is asked for: whether there is a log to have no line of, the edge knows.
    """
    tail = _number(request, "tailLines", 0)
    limit = _number(request, "limitBytes", 1)
    seconds = _number(request, "sinceSeconds", 1)
    since = request.first("sinceTime")
    if seconds and since:
        raise OptionError("at most one of sinceTime or sinceSeconds may be specified", 422)
    stream = request.first("stream") or BOTH
    if stream not in (BOTH, *ONE_STREAM):
        raise OptionError(f"stream: {stream[:40]!r} is none of {', '.join((BOTH, *ONE_STREAM))}", 422)
    if stream != BOTH and tail is not None:
        raise OptionError("tailLines and a specific stream are mutually exclusive for now", 422)
    if since and parse_time(since) is None:
        raise OptionError(f"sinceTime: {since!r} is no RFC 3339 time", 400)
    options = LogOptions(
        Tail=tail or 0,
        Timestamps=_flag(request, "timestamps"),
        Follow=_flag(request, "follow"),
        Previous=_flag(request, "previous"),
        SinceSeconds=seconds or 0,
        Stream="" if stream == BOTH else stream,
    )
    if since:
        options.SinceTime = since
    # The protocol's 0 means "all".
    if tail == 0 and options.Follow:
        # By our clock goes only a plugin that does not know where the end is.
        options.FromEnd, options.SinceSeconds, options.SinceTime = True, 0, now_micros()
    elif tail == 0:
        options.Tail = 1
        return options, 0
    elif limit and not tail:
        # The protocol forbids both at once; the limit is held here in any case.
        options.Bytes = options.LimitBytes = limit
    return options, limit


def _number(request: Request, name: str, least: int) -> int | None:
    text = request.first(name)
    if not text:
        return None
    if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 18:
        raise OptionError(f"{name}: {text[:40]!r} is no number", 400)
    if int(text) < least:
        raise OptionError(f"{name}: must be at least {least}", 422)
    return int(text)


def _flag(request: Request, name: str) -> bool:
    """Return the flag as apimachinery reads it: what is there is true, but for false and 0."""
    return name in request.query and request.first(name).lower() not in ("false", "0")
