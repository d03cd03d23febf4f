"""The InterLink API's routes: what a virtual kubelet asks, passed on to the sidecar with its status and words.

Served by ``interlink api``. Messages are checked on the way in and otherwise passed on as they are; only /create and
/update are translated (``translate.py``).
"""

from typing import Any
from urllib.parse import urlencode

import falcon
import msgspec
from urllib3.response import BaseHTTPResponse

from interlink.api.auth import BearerAuth, TokenFile
from interlink.api.cache import StatusCache
from interlink.api.followers import Followers, TooManyFollowersError
from interlink.api.translate import plugin_request
from interlink.http.app import SESSION_HEADER, App, Route, decode, new_app, read_json, request_id, write_json
from interlink.http.batch import read_calls
from interlink.http.client import HttpClient, PeerUnreachableError
from interlink.wire import batch
from interlink.wire.batch import Answer, Batch, BatchReply, Call
from interlink.wire.decoding import decode_json
from interlink.wire.messages import Changes, LogRequest, PodCreateRequest, PodStatus
from interlink.wire.pod import Pod

#: Seconds that a sidecar may take: submitting and looking up are two Slurm calls of at most 15 s each.
SIDECAR_TIMEOUT = 45.0
#: The longest silence of a followed log, in seconds; the sidecar sends nothing while the container prints nothing.
LOG_SILENCE = 24 * 3600.0


class InterLinkApi:
    """The routes of one InterLink, in front of one sidecar."""

    def __init__(self, sidecar: HttpClient, followers: Followers) -> None:
        self.sidecar = sidecar
        self.followers = followers
        self.cache = StatusCache()

    def create(self, request: falcon.Request, response: falcon.Response) -> None:
        """Pass a pod on, its volumes' contents sorted by container."""
        self._alone("/create", request, response)

    def update(self, request: falcon.Request, response: falcon.Response) -> None:
        """Pass what has changed of a running pod on, to a plugin that says it takes that."""
        self._alone("/update", request, response)

    def delete(self, request: falcon.Request, response: falcon.Response) -> None:
        """Pass a deletion on."""
        self._alone("/delete", request, response)

    def _alone(self, path: str, request: falcon.Request, response: falcon.Response) -> None:
        body, uid = for_plugin(path, request.bounded_stream.read())
        answer = self._ask(request, "POST", path, body)
        self._note(path, uid, answer.status)
        self._pass_on(response, answer)

    def batch(self, request: falcon.Request, response: falcon.Response) -> None:
        """Pass several of these calls on as one batch; what is wrong with one of them is the answer to it alone."""
        calls = read_calls(request)
        answers: dict[int, Answer] = {}
        passed: list[Call] = []
        told: list[tuple[int, str, str]] = []
        for number, call in enumerate(calls):
            try:
                body, uid = for_plugin(call.path, call.body)
            except falcon.HTTPError as error:
                answers[number] = Answer(status=error.status_code, body=error.to_json().decode())
                continue
            passed.append(Call(path=call.path, body=msgspec.Raw(body), session=call.session))
            told.append((number, call.path, uid))
        if passed:
            answer = self._ask(request, "POST", batch.PATH, msgspec.json.encode(Batch(calls=passed)))
            if answer.status != 200:
                self._pass_on(response, answer)
                return
            replies = _from_sidecar(answer, BatchReply).answers
            if len(replies) != len(passed):
                raise falcon.HTTPBadGateway(
                    title="the sidecar's answer is malformed",
                    description=f"{len(replies)} answers to a batch of {len(passed)} calls",
                )
            for (number, path, uid), reply in zip(told, replies, strict=True):
                answers[number] = reply
                self._note(path, uid, reply.status)
        write_json(response, BatchReply(answers=[answers[number] for number in range(len(calls))]))

    def _note(self, path: str, uid: str, status: int) -> None:
        """Forget the status of a pod whose deletion the plugin has noted."""
        if path == "/delete" and status == 200:
            self.cache.forget(uid)

    def status(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer the pods' statuses; an empty list asks for every status that went through here."""
        body = request.bounded_stream.read()
        pods: list[Pod] | None = decode(body, list[Pod] | None)
        if not pods:
            write_json(response, self.cache.all() or None)
            return
        answer = self._ask(request, "GET", "/status", body)
        if answer.status == 200:
            self.cache.store(_from_sidecar(answer, list[PodStatus] | None) or [])
        self._pass_on(response, answer)

    def changes(self, request: falcon.Request, response: falcon.Response) -> None:
        """Pass the long poll on."""
        query = f"?{request.query_string}" if request.query_string else ""
        answer = self._ask(request, "GET", f"/changes{query}", None, timeout=60.0)
        if answer.status == 200:
            self.cache.store(_from_sidecar(answer, Changes).statuses)
        self._pass_on(response, answer)

    def logs(self, request: falcon.Request, response: falcon.Response) -> None:
        """Stream a container's log through."""
        body = request.bounded_stream.read()
        follow = decode(body, LogRequest).Opts.Follow
        try:
            self.followers.admit()
        except TooManyFollowersError as error:
            raise falcon.HTTPTooManyRequests(title="too many logs", description=str(error), retry_after=10) from error
        try:
            chunks = self.sidecar.stream(
                "GET", "/getLogs", body, self._headers(request), LOG_SILENCE if follow else SIDECAR_TIMEOUT
            )
        except PeerUnreachableError as error:
            self.followers.leave()
            raise _away(error) from error
        response.status = chunks.status
        response.content_type = chunks.headers.get("Content-Type", falcon.MEDIA_TEXT)
        gone = request.env.get("waitress.client_disconnected", lambda: False)
        response.stream = self.followers.follow(chunks, gone)

    def ping(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer what the plugin says of itself, and of the partitions and flavors that are asked about."""
        asked = [(key, name) for key in ("partition", "flavor") for name in request.get_param_as_list(key) or ()]
        path = f"/status?{urlencode(asked)}" if asked else "/status"
        self._pass_on(response, self._ask(request, "GET", path, b"[]"))

    def update_cache(self, request: falcon.Request, response: falcon.Response) -> None:
        """Take a pod that the virtual kubelet knows; the plugin stays the one source of statuses."""
        read_json(request, Pod)
        response.text = "Updated cache"

    def healthz(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Say that this service lives; whether the sidecar does, /pinglink tells."""
        response.text = "ok"

    def _ask(
        self, request: falcon.Request, method: str, path: str, body: bytes | None, timeout: float = SIDECAR_TIMEOUT
    ) -> BaseHTTPResponse:
        try:
            return self.sidecar.request(method, path, body, self._headers(request), timeout)
        except PeerUnreachableError as error:
            raise _away(error) from error

    @staticmethod
    def _headers(request: falcon.Request) -> dict[str, str]:
        return {SESSION_HEADER: request_id(request), "Content-Type": falcon.MEDIA_JSON}

    @staticmethod
    def _pass_on(response: falcon.Response, answer: BaseHTTPResponse) -> None:
        response.status = answer.status
        response.content_type = answer.headers.get("Content-Type", falcon.MEDIA_TEXT)
        if "Retry-After" in answer.headers:
            response.set_header("Retry-After", answer.headers["Retry-After"])
        response.data = answer.data


def for_plugin(path: str, content: bytes | msgspec.Raw) -> tuple[bytes | msgspec.Raw, str]:
    """Return a call's body as the plugin takes it, and its pod's UID. Raises falcon.HTTPBadRequest."""
    if path == "/delete":
        return content, decode(content, Pod).uid
    message = decode(content, PodCreateRequest)
    pod = decode(message.pod, Pod)
    return msgspec.json.encode(plugin_request(message, pod)), pod.uid


def _away(error: PeerUnreachableError) -> falcon.HTTPBadGateway:
    return falcon.HTTPBadGateway(title="the sidecar is away", description=f"sidecar {error}")


def _from_sidecar(answer: BaseHTTPResponse, message: Any) -> Any:
    try:
        return decode_json(answer.data, message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise falcon.HTTPBadGateway(title="the sidecar's answer is malformed", description=str(error)) from error


def build_app(sidecar: HttpClient, threads: int, tokens: TokenFile | None = None) -> App:
    """Return the WSGI application of the InterLink API; a quarter of the threads is never given to log readers."""
    app = new_app([BearerAuth(tokens)] if tokens else [])
    api = InterLinkApi(sidecar, Followers(threads * 3 // 4))
    app.add_route("/create", Route(api.create))
    app.add_route("/update", Route(api.update))
    app.add_route("/delete", Route(api.delete))
    app.add_route("/status", Route(api.status))
    app.add_route("/changes", Route(api.changes))
    app.add_route(batch.PATH, Route(api.batch))
    app.add_route("/getLogs", Route(api.logs))
    app.add_route("/pinglink", Route(api.ping))
    app.add_route("/updateCache", Route(api.update_cache))
    app.add_route("/healthz", Route(api.healthz))
    return app
