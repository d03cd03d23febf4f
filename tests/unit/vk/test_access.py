"""How kube-apiserver is found: the service account's files, a kubeconfig, or a sentence that says what is missing."""

import base64
from pathlib import Path

import pytest

from interlink.vk.apiserver.access import NoAccessError, find_access, from_kubeconfig, in_cluster
from interlink.vk.apiserver.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    RetryError,
    api_error,
)
from interlink.vk.kubelet.certificate import self_signed


def authority() -> str:
    return self_signed("ca", "127.0.0.1").chain.decode()


@pytest.mark.parametrize(
    ("host", "server"), [("10.0.0.1", "https://10.0.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")]
)
def test_service_account_and_its_rotation(tmp_path: Path, host: str, server: str) -> None:
    (tmp_path / "ca.crt").write_text(authority())
    (tmp_path / "token").write_text("first")
    access = in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert access.server == server
    assert access.headers() == {"Authorization": "Bearer first"}
    (tmp_path / "new").write_text("second")
    (tmp_path / "new").rename(tmp_path / "token")
    assert access.headers() == {"Authorization": "Bearer second"}


def test_neither_one_nor_the_other() -> None:
    with pytest.raises(NoAccessError, match="KUBECONFIG"):
        find_access(None, {})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "config"
    ca = base64.b64encode(authority().encode()).decode()
    path.write_text(
        f"""
current-context: c
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
clusters: [{{name: k, cluster: {{server: "https://10.0.0.1:6443/", certificate-authority-data: {ca}}}}}]
users: [{{name: u, user: {{token: secret}}}}]
"""
    )
    access = from_kubeconfig(path)
    assert access.server == "https://10.0.0.1:6443"
    assert access.headers() == {"Authorization": "Bearer secret"}
    assert access.tls is not None
    path.write_text("current-context: none\n")
    with pytest.raises(NoAccessError, match="cannot be used"):
        from_kubeconfig(path)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (403, ForbiddenError),
        (429, RetryError),
        (503, RetryError),
    ],
)
def test_errors_by_what_to_do(status: int, kind: type[Exception]) -> None:
    error = api_error("GET /x", status, b'{"message": "words", "reason": "R"}', "7")
    assert isinstance(error, kind)
    assert (error.reason, error.retry_after) == ("R", 7.0)
    assert str(error) == f"GET /x: {status} words"
    assert "plain" in str(api_error("GET /x", status, b"plain", "soon"))


@pytest.mark.parametrize(
    ("details", "kind"),
    [
        ({"causes": [{"field": "metadata.uid", "reason": "FieldValueInvalid"}]}, ConflictError),
        ({"causes": [{"field": "spec"}, {}, None]}, InvalidError),
        ({"causes": None}, InvalidError),
        (["metadata.uid"], InvalidError),
        (None, InvalidError),
    ],
)
def test_another_uid_is_a_conflict_however_it_is_said(details: object, kind: type[Exception]) -> None:
    assert type(api_error("PATCH /x", 422, {"reason": "Invalid", "message": "m", "details": details})) is kind
