"""Where kube-apiserver is and as whom we speak to it: the pod's service account, or a kubeconfig file.

Called once by ``main.py``. In the cluster nothing but the standard library is needed; the kubernetes client, which
costs 57 MB of memory, is imported only for a kubeconfig, whose many ways of authentication it knows.
"""

import os
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlink.vk.tokenfile import TokenFile

#: How long a kubeconfig's credentials are taken as they are, in seconds: less than the client renews them too soon.
KEPT_SECONDS = 5.0
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NoAccessError(Exception):
    """Neither a service account nor a kubeconfig was found, or the kubeconfig cannot be used."""


@dataclass(frozen=True)
class Access:
    """The server's URL, the TLS context (None for plain HTTP, as in tests) and the headers of each request."""

    server: str
    tls: ssl.SSLContext | None
    headers: Callable[[], dict[str, str]]


def find_access(kubeconfig: Path | None, environ: Mapping[str, str] = os.environ) -> Access:
    """Return the access by the kubeconfig where one is named, else by the service account. Raises NoAccessError."""
    if kubeconfig:
        return from_kubeconfig(kubeconfig)
    return in_cluster(environ)


def in_cluster(environ: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT) -> Access:
    """Return the access that kubelet gave this pod; its token rotates, so it is read again when the file changes."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").is_file():
        raise NoAccessError(
            f"no service account in {folder} and no Kubeconfig: run in a pod, or set KUBECONFIG to a kubeconfig file"
        )
    name = f"[{host}]" if ":" in host else host
    context = _context(str(folder / "ca.crt"))
    return Access(f"https://{name}:{port}", context, TokenFile(folder / "token").headers)


def from_kubeconfig(path: Path) -> Access:
    """Return the access of the file's current context. Raises NoAccessError."""
    from kubernetes import client, config  # noqa: PLC0415 - 57 MB, and not needed in the cluster

    configuration = client.Configuration()
    try:
        config.load_kube_config(config_file=str(path), client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise NoAccessError(f"{path}: cannot be used as a kubeconfig: {error}") from error

    kept: dict[str, str] = {}
    asked = -KEPT_SECONDS

    def headers() -> dict[str, str]:
        # The client renews the tokens of exec plugins when their time has come; to ask it takes half a millisecond.
        nonlocal kept, asked
        if time.monotonic() - asked >= KEPT_SECONDS:
            settings: Iterable[Any] = configuration.auth_settings().values()
            kept = {entry["key"].title(): entry["value"] for entry in settings if entry["in"] == "header"}
            asked = time.monotonic()
        return dict(kept)

    return Access(configuration.host.rstrip("/"), _tls(configuration), headers)


def _tls(configuration: object) -> ssl.SSLContext | None:
    """Return the TLS context for the client's configuration object."""
    options = vars(configuration)
    if not str(options["_base_path"]).startswith("https"):
        return None
    context = _context(options["ssl_ca_cert"])
    if not options["verify_ssl"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options["cert_file"]:
        context.load_cert_chain(options["cert_file"], options["key_file"])
    return context


def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    # Python 3.13 refuses by default the CAs that many clusters have (no authority key identifier).
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
