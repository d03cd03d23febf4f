"""The rows of v1.Probe and v1.Lifecycle, and of their handlers: data, read by ``look`` and ``page``."""

from interlink.core.pod.support.model import Row, other_than

_NODE = "empty: this compute node, whose network the container is in"
_PORT = "a number, or the name of one of the container's ports"

PROBE_TYPES: dict[str, tuple[Row, ...]] = {
    "Probe": (
        Row(field="exec", of="ExecAction", done="in the container; needs a runtime that lets it be entered ([runtimes.md](runtimes.md))"),
        Row(field="httpGet", of="HTTPGetAction", done="from the compute node"),
        Row(field="tcpSocket", of="TCPSocketAction", done="likewise"),
        Row(field="grpc", of="GRPCAction", done="likewise, gRPC's own health protocol"),
        Row(field="initialDelaySeconds", done="from the container's start"),
        Row(field="periodSeconds", done="10 where it is 0"),
        Row(field="timeoutSeconds", done="1 where it is 0"),
        Row(field="successThreshold", done="1 where it is 0; more of a readiness probe alone"),
        Row(field="failureThreshold", done="3 where it is 0"),
        Row(field="terminationGracePeriodSeconds", done="of a liveness or startup probe: the grace period of the end that it causes"),
    ),
    "Lifecycle": (
        Row(field="postStart", of="LifecycleHandler", done="the container runs once it has ended well"),
        Row(field="preStop", of="LifecycleHandler", done="before SIGTERM, within the grace period"),
        Row(field="stopSignal", refused="is not supported: containers are asked to end by SIGTERM"),
    ),
    "LifecycleHandler": (
        Row(field="exec", of="ExecAction", done="in the container"),
        Row(field="httpGet", of="HTTPGetAction", done="from the compute node"),
        Row(field="tcpSocket", of="TCPSocketAction", done="likewise"),
        Row(field="sleep", of="SleepAction", done="by the pod runner"),
    ),
    "ExecAction": (Row(field="command", done="as it is, without a shell; 0 is success"),),
    "HTTPGetAction": (
        Row(field="host", done=_NODE),
        Row(field="port", done=_PORT),
        Row(field="path", done="/ where there is none"),
        Row(field="scheme", done="HTTP, or HTTPS without a look at the certificate"),
        Row(field="httpHeaders", of="HTTPHeader", done="sent as they are"),
        Row(field="protocol", since="1.37", refused="is not supported: probes speak HTTP/1.1"),
    ),
    "HTTPHeader": (Row(field="name", done="a token"), Row(field="value", done="one line")),
    "TCPSocketAction": (Row(field="host", done=_NODE), Row(field="port", done=_PORT)),
    "GRPCAction": (
        Row(field="port", done="a number"),
        Row(field="service", done="the name that is asked for"),
        Row(field="mode", since="1.37", refused="is not supported: gRPC probes are in plain text", when=other_than("Plaintext")),
    ),
    "SleepAction": (Row(field="seconds", done="from 0 on"),),
}  # fmt: skip
