"""The network handlers of probes and hooks: HTTP, TCP, gRPC and a pause, each one attempt that may block.

Run in a forked child of the runner by ``actions.py``, which also ends them at their time-out. The rules and words are
those of k8s.io/kubernetes/pkg/probe/{exec,http,tcp,grpc}, and of Go's network library where they are its: people search
for them. A pod's containers share the node's network: no host is this host.
"""

import errno
import http.client
import os
import socket
import time
import urllib.parse
from typing import Any, Dict, List, NamedTuple, Tuple

from interlink.runner.grpc_health import SERVING, GrpcError, HealthCheck
from interlink.runner.times import go_duration

_HERE = "localhost"
_MOST_BODY = 10 * 1024
_MOST_REDIRECTS = 10
#: Errors of connect(2), which Go tells with its name.
_CONNECT = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)


class Outcome(NamedTuple):
    """How an attempt ended, with the words that the kubelet would put into an event."""

    success: bool
    message: str
    #: A success that an event tells of all the same.
    warning: bool = False


def attempt(handler: Dict[str, Any]) -> Outcome:
    """Carry out one handler of the plan that needs the network or only time."""
    kind = handler["kind"]
    try:
        if kind == "httpGet":
            return _http_get(handler)
        if kind == "tcpSocket":
            return _tcp_socket(handler)
        if kind == "grpc":
            return _grpc(handler)
        time.sleep(handler.get("seconds", 0))
        return Outcome(True, "")
    except (OSError, http.client.HTTPException, GrpcError, ValueError) as error:
        return Outcome(False, _failure(handler, error))


def too_late(handler: Dict[str, Any], timeout: float) -> str:
    """Return what the kubelet says of an attempt that has not ended within ``timeout`` seconds."""
    kind, length = handler["kind"], go_duration(timeout)
    if kind == "exec":
        return 'command timed out: "{}" timed out after {}'.format(" ".join(handler["command"]), length)
    if kind == "httpGet":
        said = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return 'Get "{}": {}'.format(_url(handler), said)
    if kind == "tcpSocket":
        return "dial tcp {}: i/o timeout".format(_place(handler))
    return "timeout: health rpc did not complete within {}".format(length) if kind == "grpc" else "timed out"


def _failure(handler: Dict[str, Any], error: Exception) -> str:
    """Put into the kubelet's words what went wrong."""
    kind, place = handler["kind"], _place(handler)
    said = str(error) or type(error).__name__
    if isinstance(error, socket.gaierror):
        said = "dial tcp: lookup {}: no such host".format(handler.get("host") or _HERE)
    elif isinstance(error, OSError) and error.errno in _CONNECT:
        said = "dial tcp {}: connect: {}".format(place, os.strerror(error.errno).lower())
    elif isinstance(error, http.client.RemoteDisconnected):
        said = "EOF"
    if kind == "httpGet":
        return 'Get "{}": {}'.format(_url(handler), said)
    if kind == "grpc" and isinstance(error, OSError):
        return 'error: failed to connect service at "{}": {}'.format(place, said)
    return said if kind == "tcpSocket" else "{} {}: {}".format(kind, place, said)


def _url(handler: Dict[str, Any]) -> str:
    path = handler.get("path") or "/"
    path = path if path.startswith("/") else "/" + path
    return "{}://{}{}".format(handler.get("scheme", "HTTP").lower(), _place(handler), path)


def _place(handler: Dict[str, Any]) -> str:
    return "{}:{}".format(handler.get("host") or _HERE, handler.get("port", ""))


def _http_get(handler: Dict[str, Any]) -> Outcome:
    """GET; 200 to 399 is success, and so is a redirect to another host, which is not followed."""
    scheme, host, port = handler.get("scheme", "HTTP").lower(), handler.get("host") or _HERE, handler["port"]
    path = handler.get("path") or "/"
    path = path if path.startswith("/") else "/" + path
    for _ in range(_MOST_REDIRECTS):
        status, location = _get(scheme, host, port, path, _headers(handler))
        if not location:
            good = 200 <= status < 400
            return Outcome(good, "" if good else "HTTP probe failed with statuscode: {}".format(status))
        target = urllib.parse.urlsplit(urllib.parse.urljoin("{}://{}:{}{}".format(scheme, host, port, path), location))
        if target.hostname != host or target.scheme not in ("http", "https"):
            return Outcome(True, "Probe terminated redirects, Response body: ", warning=True)
        scheme, path = target.scheme, urllib.parse.urlunsplit(("", "", target.path or "/", target.query, ""))
        port = target.port or {"http": 80, "https": 443}[scheme]
    return Outcome(False, "stopped after {} redirects".format(_MOST_REDIRECTS))


def _get(scheme: str, host: str, port: int, path: str, headers: List[Tuple[str, str]]) -> Tuple[int, str]:
    """Return the answer's status, and its Location where it is a redirect."""
    connection = _connection(scheme, host, port)
    try:
        connection.putrequest("GET", urllib.parse.quote(path, safe="/%?=&:;,+@!$'()*~#[]"), skip_host=True,
                              skip_accept_encoding=True)  # fmt: skip
        if not any(name.lower() == "host" for name, _ in headers):
            connection.putheader("Host", "{}:{}".format(host, port))
        for name, value in headers:
            connection.putheader(name, value.encode("utf-8"))
        connection.endheaders()
        answer = connection.getresponse()
        answer.read(_MOST_BODY)
        redirected = answer.status in (301, 302, 303, 307, 308)
        return answer.status, (answer.getheader("Location") or "") if redirected else ""
    finally:
        connection.close()


def _connection(scheme: str, host: str, port: int) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port)
    import ssl  # noqa: PLC0415 - large, and seldom needed

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as the kubelet: a probe asks for life only
    return http.client.HTTPSConnection(host, port, context=context)


def _headers(handler: Dict[str, Any]) -> List[Tuple[str, str]]:
    given = [(name, value) for name, value in handler.get("headers", ())]
    said = {name.lower() for name, _ in given}
    own = [("User-Agent", "kube-probe/interlink"), ("Accept", "*/*"), ("Connection", "close")]
    return given + [(name, value) for name, value in own if name.lower() not in said]


def _tcp_socket(handler: Dict[str, Any]) -> Outcome:
    socket.create_connection((handler.get("host") or _HERE, handler["port"])).close()
    return Outcome(True, "")


def _grpc(handler: Dict[str, Any]) -> Outcome:
    host, port = handler.get("host") or _HERE, handler["port"]
    check = HealthCheck("{}:{}".format(host, port), handler.get("service", ""))
    with socket.create_connection((host, port)) as connection:
        connection.sendall(check.request())
        while check.status is None:
            data = connection.recv(16384)
            if not data:
                check.end()
            connection.sendall(check.feed(data))
    if check.status == SERVING:
        return Outcome(True, "")
    word, _, remark = check.status.partition(", ")
    return Outcome(False, 'service unhealthy (responded with "{}"{})'.format(word, remark and ", " + remark))
