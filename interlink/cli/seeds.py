"""The command line of the virtual kubelets that this one takes the place of: their flags, and what each means here.

Read by ``vk.py``. A start script or a Deployment of virtual-kubelet's, KNoC's, interLink's or JIRIAF's works as it is:
what means nothing here is taken, and said in the log.
"""

import argparse
import logging
import re
from collections.abc import Iterable

from interlink.config import ConfigError

#: klog's -v from which on the log is at debug level; 0 to 3 say what ours says at info.
DEBUG_VERBOSITY = 4
LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.ERROR,
    "panic": logging.ERROR,
}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")

_STDERR = "the log goes to stderr, in one form"
_SELF = "the virtual kubelet decides it itself"
_PORT = "the kubelet port always asks kube-apiserver who calls and whether they may"
_TRACING = "there is no tracing"
#: Flags without a meaning here, and why; klog's also with its prefix ("klog.log_dir").
_KLOG = dict.fromkeys(
    (
        *("add_dir_header", "alsologtostderr", "log_backtrace_at", "log_dir", "log_file", "log_file_max_size"),
        *("logtostderr", "one_output", "skip_headers", "skip_log_headers", "stderrthreshold", "vmodule"),
        "legacy_stderr_threshold_behavior",
    ),
    _STDERR,
)
_OTHERS = {
    "provider": "there is one provider here, InterLink",
    "os": "nodes are Linux",
    "namespace": "pods of every namespace are served",
    "cluster-domain": "jobs use the site's name service",
    "metrics-addr": "metrics are on the kubelet port",
    "taint": "NodeTaints says which taints the node has",
    "pod-sync-workers": _SELF,
    "full-resync-period": _SELF,
    "enable-node-lease": "a node always has its lease",
    "kube-api-qps": _SELF,
    "kube-api-burst": _SELF,
    "client-verify-ca": _PORT,
    "no-verify-clients": _PORT,
    "authentication-token-webhook": _PORT,
    "authentication-token-webhook-cache-ttl": _PORT,
    "authorization-webhook-cache-authorized-ttl": _PORT,
    "authorization-webhook-cache-unauthorized-ttl": _PORT,
    "trace-exporter": _TRACING,
    "trace-service-name": _TRACING,
    "trace-tag": _TRACING,
    "trace-sample-rate": _TRACING,
}
#: What a flag says that comes without a value, as Go's boolean flags may.
_BARE = "true"


class _Meaningless(argparse.Action):
    """Notes a flag and why it means nothing; takes it as often as it comes."""

    def __init__(self, *, why: str, **settings: object) -> None:
        super().__init__(nargs="?", const=_BARE, help=why, metavar="", **settings)  # type: ignore[arg-type]
        self.why = why

    def __call__(
        self, _parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, flag: str | None = None
    ) -> None:
        # Ours goes to stderr, so that these change nothing and need no words.
        harmless = str(flag).removeprefix("--klog.").lstrip("-") in ("logtostderr", "alsologtostderr")
        if not (harmless and values == _BARE):
            namespace.meaningless.append(f"flag {flag} means nothing here: {self.why}")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the seeds' flags."""
    parser.set_defaults(meaningless=[])
    parser.add_argument(
        "--nodename", metavar="NAME", help="the virtual node's name; of several Nodes, the one to serve"
    )
    parser.add_argument(
        "--provider-config", metavar="FILE", help="knoc-cfg.json: what each node has; or InterLinkConfig.yaml"
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig file; none in the cluster")
    parser.add_argument(
        "--startup-timeout", metavar="TIME", type=duration, help="give up where it takes longer than so: 10s, 1m30s"
    )
    parser.add_argument("--disable-taint", nargs="?", const=_BARE, metavar="BOOL", help="have no taint of NodeTaints")
    parser.add_argument("--log-level", choices=sorted(LEVELS), help="how much is logged")
    parser.add_argument(
        "-v", "--v", "--klog.v", dest="verbosity", type=int, metavar="N",
        help=f"the same in klog's numbers: debug from {DEBUG_VERBOSITY} on",
    )  # fmt: skip
    group = parser.add_argument_group("taken without a meaning here, because")
    for name, why in _KLOG.items():
        spelled = dict.fromkeys((name, name.replace("_", "-")))
        flags = [f"--{prefix}{word}" for prefix in ("", "klog.") for word in spelled]
        group.add_argument(*flags, dest=name, action=_Meaningless, why=why)
    for name, why in _OTHERS.items():
        group.add_argument(f"--{name}", dest=name, action=_Meaningless, why=why)


def log_level(options: argparse.Namespace) -> int | None:
    """Return the level that the flags ask for, None where they ask for none; the more talkative one counts."""
    asked = []
    if options.log_level:
        asked.append(LEVELS[options.log_level])
    if options.verbosity is not None:
        asked.append(logging.DEBUG if options.verbosity >= DEBUG_VERBOSITY else logging.INFO)
    return min(asked, default=None)


def switched_on(flag: str, value: str | None) -> bool:
    """Return what one of Go's boolean flags says. Raises ConfigError."""
    if value is None:
        return False
    if value.lower() in ("1", "t", "true", "0", "f", "false"):
        return value.lower() in ("1", "t", "true")
    raise ConfigError(f"flag {flag}: must be true or false, not {value!r}")


def duration(text: str) -> float:
    """Return a Go duration (``90s``, ``1m30s``, ``0``) in seconds."""
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 10s, 1m30s or 0")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def without_leading_dashes(arguments: Iterable[str]) -> list[str]:
    """Return the arguments without a ``--`` of their own right behind the command, which the seeds let pass."""
    words = list(arguments)
    return words[:1] + words[2:] if words[:2] == ["vk", "--"] else words
