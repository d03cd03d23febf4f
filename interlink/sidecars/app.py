"""The Falcon app that every sidecar is: the plugin side of the InterLink protocol over one Backend.

Served by ``interlink slurm`` and ``interlink mock``; driven by our InterLink API or the public Go one. Every route
accepts any method, as the other plugins' do, because their clients send bodies with GET and DELETE.
"""

import re
from collections.abc import Callable, Iterator

import falcon

from interlink.http.app import App, Route, decode, new_app, read_json, write_json
from interlink.http.batch import Batches
from interlink.sidecars.backend import (
    Backend,
    Busy,
    CursorExpired,
    Deleted,
    NotFound,
    NotStarted,
    Refused,
    Unavailable,
)
from interlink.sidecars.crilog import ONE_STREAM, parse_time
from interlink.wire import batch
from interlink.wire.messages import EXTENSION_BATCH, LogRequest, RetrievedPodData, WrittenPodData
from interlink.wire.pod import Pod

#: DNS label (RFC 1123), as namespaces and containers are named.
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
ZERO_TIME = "0001-01-01T00:00:00Z"

#: The longest that /changes waits, in seconds: below the idle time-outs of common proxies (60 s).
LONGEST_WAIT = 50.0

#: What a ping may ask of: each partition costs a call of Slurm.
_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,62}", re.ASCII)
_MOST_NAMES = 64


class SidecarApp:
    """The routes of one sidecar."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def create(self, request: falcon.Request, response: falcon.Response) -> None:
        """Start a pod."""
        body = request.bounded_stream.read()
        message = decode(body, RetrievedPodData)
        message.written = decode(body, WrittenPodData).pod.spec
        check_pod(message.pod)
        write_json(response, self.backend.create(message))

    def update(self, request: falcon.Request, response: falcon.Response) -> None:
        """Bring what has changed of it to a running pod."""
        message = read_json(request, RetrievedPodData)
        check_pod(message.pod)
        self.backend.update(message)
        response.text = "update noted"

    def delete(self, request: falcon.Request, response: falcon.Response) -> None:
        """End a pod."""
        pod = read_json(request, Pod)
        check_pod(pod)
        self.backend.delete(pod)
        response.text = "deletion noted"

    def status(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer the statuses of the pods in the body; for an empty list, the ping reply."""
        pods: list[Pod] | None = read_json(request, list[Pod] | None)
        if not pods:
            reply = self.backend.ping(_names(request, "partition"), _names(request, "flavor"))
            # What the app itself offers, whatever is behind it.
            reply.extensions = [*(reply.extensions or []), EXTENSION_BATCH]
            write_json(response, reply)
            return
        for pod in pods:
            check_pod(pod)
        write_json(response, self.backend.statuses(pods))

    def changes(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer the statuses that changed since the cursor, once there are some."""
        wait = request.get_param_as_float("wait", default=0.0, min_value=0.0)
        write_json(response, self.backend.changes(request.get_param("after") or None, min(wait, LONGEST_WAIT)))

    def logs(self, request: falcon.Request, response: falcon.Response) -> None:
        """Stream a container's log."""
        message = read_json(request, LogRequest)
        check_log_request(message)
        response.content_type = falcon.MEDIA_TEXT
        response.stream = until_disconnected(self.backend.logs(message), request)


def until_disconnected(chunks: Iterator[bytes], request: falcon.Request) -> Iterator[bytes]:
    """Yield the chunks until the client is gone; an empty chunk is only a look at whether it is.

    The first chunk is taken at once, so that an error of the source is still an HTTP status.
    """
    gone: Callable[[], bool] = request.env.get("waitress.client_disconnected", lambda: False)
    first = next(chunks, b"")

    def rest() -> Iterator[bytes]:
        if first:
            yield first
        for chunk in chunks:
            if gone():
                return
            if chunk:
                yield chunk

    return rest()


def check_pod(pod: Pod) -> None:
    """Refuse a pod whose names could not come from Kubernetes. Raises falcon.HTTPBadRequest."""
    if not UID.fullmatch(pod.metadata.uid):
        raise falcon.HTTPBadRequest(title="malformed pod", description="metadata.uid is no lower-case UUID")
    if not DNS_LABEL.fullmatch(pod.metadata.namespace):
        raise falcon.HTTPBadRequest(title="malformed pod", description="metadata.namespace is no DNS label")
    if len(pod.metadata.name) > 253 or not all(DNS_LABEL.fullmatch(part) for part in pod.metadata.name.split(".")):
        raise falcon.HTTPBadRequest(title="malformed pod", description="metadata.name is no DNS name")
    names = [container.name for container in [*(pod.spec.initContainers or []), *pod.spec.containers]]
    if not all(DNS_LABEL.fullmatch(name) for name in names) or len(set(names)) != len(names):
        raise falcon.HTTPBadRequest(
            title="malformed pod", description="spec.containers: names must be DNS labels, each once"
        )


def check_log_request(message: LogRequest) -> None:
    """Refuse what the protocol says is refused with 400. Raises falcon.HTTPBadRequest."""
    options = message.Opts
    faults = {
        "Namespace is no DNS label": not DNS_LABEL.fullmatch(message.Namespace),
        "ContainerName is no DNS label": not DNS_LABEL.fullmatch(message.ContainerName),
        "PodUID is no lower-case UUID": not UID.fullmatch(message.PodUID),
        "Tail and Bytes are both set": bool(options.Tail and (options.Bytes or options.LimitBytes)),
        "SinceSeconds and SinceTime are both set": bool(options.SinceSeconds and options.SinceTime != ZERO_TIME),
        "a number is negative": min(options.Tail, options.Bytes, options.LimitBytes, options.SinceSeconds) < 0,
        "SinceSeconds is more than a century": options.SinceSeconds > 100 * 366 * 86400,
        "SinceTime is no RFC 3339 time": not _is_time(options.SinceTime),
        "Stream is none of Stdout, Stderr and All": options.Stream not in ("", "All", *ONE_STREAM),
        "Tail and one Stream are both set": bool(options.Tail and options.Stream in ONE_STREAM),
    }
    for fault, found in faults.items():
        if found:
            raise falcon.HTTPBadRequest(title="malformed log request", description=fault)


def _is_time(text: str) -> bool:
    try:
        parse_time(text or ZERO_TIME)
    except ValueError:
        return False
    return True


#: A queue that is full gets emptier by jobs that end.
BUSY_SECONDS = 15
#: Each condition of a site and its HTTP error. A refusal's title is a reason as Kubernetes writes them: the pod's, and
#: that of a busy site is the reason for which its containers wait.
CONDITIONS: dict[type[Exception], Callable[[Exception], falcon.HTTPError]] = {
    Refused: lambda error: falcon.HTTPUnprocessableEntity(
        title=getattr(error, "reason", "Refused"), description=str(error)
    ),
    Unavailable: lambda error: falcon.HTTPServiceUnavailable(
        title="the site does not answer", description=str(error), retry_after=5
    ),
    Busy: lambda error: falcon.HTTPTooManyRequests(
        title=getattr(error, "reason", "Busy"), description=str(error), retry_after=BUSY_SECONDS
    ),
    Deleted: lambda error: falcon.HTTPConflict(title="the pod was deleted", description=str(error)),
    NotFound: lambda error: falcon.HTTPNotFound(title="not found", description=str(error)),
    NotStarted: lambda error: falcon.HTTPBadRequest(title="not started", description=str(error)),
    CursorExpired: lambda error: falcon.HTTPGone(title="cursor expired", description=str(error)),
}


def _names(request: falcon.Request, key: str) -> list[str]:
    """Return the names that a ping asks about; what can be no name of a partition or flavor is not asked for."""
    asked = request.get_param_as_list(key) or []
    return [name for name in dict.fromkeys(asked) if _NAME.fullmatch(name)][:_MOST_NAMES]


def _on_condition(_request: falcon.Request, _response: falcon.Response, error: Exception, _params: object) -> None:
    kind = next(kind for kind in type(error).__mro__ if kind in CONDITIONS)
    raise CONDITIONS[kind](error) from error


def build_app(backend: Backend) -> App:
    """Return the WSGI application of one sidecar."""
    app = new_app()
    sidecar = SidecarApp(backend)
    app.add_route("/create", Route(sidecar.create))
    app.add_route("/update", Route(sidecar.update))
    app.add_route("/delete", Route(sidecar.delete))
    app.add_route("/status", Route(sidecar.status))
    app.add_route("/changes", Route(sidecar.changes))
    app.add_route("/getLogs", Route(sidecar.logs))
    app.add_route(batch.PATH, Route(Batches(app).respond))
    for condition in CONDITIONS:
        app.add_error_handler(condition, _on_condition)
    return app
