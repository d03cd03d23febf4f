"""A container's probes and hooks → the plan's, with the API's defaults and ports as numbers. Called by ``containers``.

Source of the rules: core/v1 Probe, ProbeHandler, Lifecycle, LifecycleHandler, and the API server's validation of them.
"""

from typing import Any, Literal

import msgspec

from interlink.core.errors import UnsupportedPod
from interlink.core.plan import PlanHandler, PlanProbe
from interlink.core.pod.paths import check_text
from interlink.wire.pod import Container

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_MOST_SECONDS = 2**31 - 1


class _Action(msgspec.Struct, kw_only=True):
    """v1.ExecAction, HTTPGetAction, TCPSocketAction, GRPCAction and SleepAction in one."""

    command: list[str] | None = None
    host: str = ""
    port: int | str = 0
    scheme: str = "HTTP"
    path: str = ""
    httpHeaders: list[dict[str, str]] | None = None  # noqa: N815 - the API's own name
    service: str | None = None
    seconds: int = 0


class _Probe(msgspec.Struct, kw_only=True, rename="camel"):
    """v1.Probe without its handler; Go leaves out what is zero, and zero means the default."""

    initial_delay_seconds: int = 0
    period_seconds: int = 0
    timeout_seconds: int = 0
    success_threshold: int = 0
    failure_threshold: int = 0
    termination_grace_period_seconds: int | None = None


def plan_probe(container: Container, kind: Literal["startup", "liveness", "readiness"]) -> PlanProbe | None:
    """Return one probe of the container, None where it has none. Raises UnsupportedPod."""
    raw: dict[str, Any] | None = getattr(container, f"{kind}Probe")
    if not raw:
        return None
    where = f'container "{container.name}": {kind}Probe'
    handler = _handler(where, raw, container, _HANDLERS[:4])
    probe = _convert(where, {key: value for key, value in raw.items() if key not in _HANDLERS}, _Probe)
    grace = probe.termination_grace_period_seconds
    numbers = {
        "initialDelaySeconds": probe.initial_delay_seconds, "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds, "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    }  # fmt: skip
    for name, value in numbers.items():
        if not 0 <= value <= _MOST_SECONDS:
            raise UnsupportedPod(f"{where}: {name} {value} is not between 0 and {_MOST_SECONDS}")
    if kind != "readiness" and probe.success_threshold > 1:
        raise UnsupportedPod(f"{where}: successThreshold must be 1")
    if grace is not None and (kind == "readiness" or not 1 <= grace <= _MOST_SECONDS):
        raise UnsupportedPod(f"{where}: terminationGracePeriodSeconds {grace} is not possible here")
    return PlanProbe(
        handler=handler,
        initial_delay_seconds=probe.initial_delay_seconds,
        period_seconds=probe.period_seconds or 10,
        timeout_seconds=probe.timeout_seconds or 1,
        success_threshold=probe.success_threshold or 1,
        failure_threshold=probe.failure_threshold or 3,
        termination_grace_period_seconds=grace,
    )


def plan_hook(container: Container, kind: Literal["postStart", "preStop"]) -> PlanHandler | None:
    """Return one hook of the container, None where it has none. Raises UnsupportedPod."""
    raw = (container.lifecycle or {}).get(kind)
    if not raw:
        return None
    return _handler(f'container "{container.name}": {kind}', raw, container, _HANDLERS)


def _handler(where: str, raw: Any, container: Container, allowed: tuple[str, ...]) -> PlanHandler:
    """Return the one handler of a probe or hook."""
    kinds = [key for key in _HANDLERS if isinstance(raw, dict) and raw.get(key) is not None]
    if len(kinds) != 1 or kinds[0] not in allowed:
        raise UnsupportedPod(f"{where} must have exactly one of {', '.join(allowed)}")
    kind = kinds[0]
    action = _convert(f"{where}.{kind}", raw[kind], _Action)
    if kind == "exec":
        return PlanHandler(kind="exec", command=_command(where, action))
    if kind == "sleep":
        if not 0 <= action.seconds <= _MOST_SECONDS:
            raise UnsupportedPod(f"{where}: sleep of {action.seconds} seconds is not possible")
        return PlanHandler(kind="sleep", seconds=action.seconds)
    host, port = _one_line(f"{where}: host", action.host), _port(where, action.port, container)
    if kind == "tcpSocket":
        return PlanHandler(kind="tcpSocket", host=host, port=port)
    if kind == "grpc":
        return PlanHandler(kind="grpc", port=port, service=_one_line(f"{where}: service", action.service or ""))
    if action.scheme not in ("HTTP", "HTTPS"):
        raise UnsupportedPod(f"{where}: scheme {action.scheme[:60]!r} is neither HTTP nor HTTPS")
    return PlanHandler(
        kind="httpGet",
        host=host,
        port=port,
        scheme="HTTPS" if action.scheme == "HTTPS" else "HTTP",
        path=_one_line(f"{where}: path", action.path or "/"),
        headers=[_header(where, header) for header in action.httpHeaders or ()],
    )


def _command(where: str, action: _Action) -> list[str]:
    if not action.command:
        raise UnsupportedPod(f"{where}: exec needs a command")
    return [check_text(f"{where}: its command", word) for word in action.command]


def _port(where: str, port: int | str, container: Container) -> int:
    """Return the port's number; a name is one of the container's ports."""
    if isinstance(port, str) and not port.isdecimal():
        named = [item.containerPort for item in container.ports or () if item.name == port]
        if not named:
            raise UnsupportedPod(f'{where}: the container has no port named "{port[:60]}"')
        port = named[0]
    number = int(port) if len(str(port)) <= 5 else 0
    if not 1 <= number <= 65535:
        raise UnsupportedPod(f"{where}: port {str(port)[:20]} is not between 1 and 65535")
    return number


def _header(where: str, header: dict[str, str]) -> tuple[str, str]:
    """Return an HTTP header's name (a token of RFC 9110) and value."""
    name, value = header.get("name", ""), header.get("value", "")
    if not name or not name.isascii() or not all(letter.isalnum() or letter in "!#$%&'*+-.^_`|~" for letter in name):
        raise UnsupportedPod(f"{where}: {name[:60]!r} is no name of an HTTP header")
    return name, _one_line(f"{where}: header {name}", value)


def _one_line(what: str, text: str) -> str:
    """Return a text that cannot break out of its line of a request."""
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise UnsupportedPod(f"{what} has a control character")
    return text


def _convert(where: str, raw: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise UnsupportedPod(f"{where} is malformed: {error}") from error
