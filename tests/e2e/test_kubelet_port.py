"""The kubelet port against the real kube-apiserver: logs through it, callers with and without rights, certificates."""

import base64
import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.e2e.cluster import Cluster, container, pod
from tests.e2e.kubelet import OwnKubelet
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed
from tests.testbed.errors import CommandError

YEAR = 365 * 86400.0


class Port:
    """The port of a running virtual kubelet, asked directly and through kube-apiserver."""

    def __init__(self, kubelet: OwnKubelet) -> None:
        self.kubelet = kubelet
        self.bed = kubelet.bed
        # After an earlier start the node is there at once, with the port of that start, which is closed.
        self.node: dict[str, Any] = wait_for("the node with an open port", self._node, self._is_open)
        self.number = self.node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]

    def _is_open(self, node: dict[str, Any]) -> bool:
        if not node:
            return False
        number = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        with socket.socket() as client:
            return client.connect_ex((self.bed.network.gateway, number)) == 0

    def _node(self) -> dict[str, Any]:
        text = self.bed.kubectl("get", "node", self.kubelet.node, "--ignore-not-found", "-o", "json")
        found: dict[str, Any] = json.loads(text or "{}")
        return found

    def ask(self, path: str, token: str = "") -> tuple[int, str]:
        """Ask directly, as a scraper does."""
        connection = http.client.HTTPSConnection(
            self.bed.network.gateway, self.number, timeout=20, context=ssl._create_unverified_context()
        )
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def raw(self, path: str) -> str:
        """Ask through kube-apiserver."""
        return self.bed.kubectl("get", "--raw", f"/api/v1/nodes/{self.kubelet.node}/proxy{path}")

    def certificate(self) -> x509.Certificate:
        """Return what the port shows."""
        text = ssl.get_server_certificate((self.bed.network.gateway, self.number), timeout=20)
        return x509.load_pem_x509_certificate(text.encode())

    def trusted(self) -> bool:
        """Whether who trusts the cluster's CA believes the port, by its address."""
        context = ssl.create_default_context(cafile=str(self.bed.paths.pki / "ca.crt"))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        connection = http.client.HTTPSConnection(self.bed.network.gateway, self.number, timeout=20, context=context)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except ssl.SSLCertVerificationError:
            return False
        finally:
            connection.close()

    def requests(self) -> list[dict[str, Any]]:
        """Return this node's CertificateSigningRequests."""
        found = json.loads(self.bed.kubectl("get", "csr", "-o", "json"))["items"]
        return [item for item in found if item["metadata"]["name"].startswith(self.kubelet.node)]


@pytest.fixture
def kubelet(bed: Bed, tmp_path: Path) -> Iterator[OwnKubelet]:
    # An address at which kube-apiserver finds this process.
    kubelet = OwnKubelet(bed, tmp_path, vkubelet_pod_ip=bed.network.gateway)
    yield kubelet
    kubelet.remove_node()


def start(cluster: Cluster, kubelet: OwnKubelet, name: str, *scripts: str) -> None:
    containers = [container(script, name=f"c{number}") for number, script in enumerate(scripts)]
    cluster.apply(pod(name, containers=containers, nodeName=kubelet.node, nodeSelector={}))


def test_kubectl_logs_with_every_option(cluster: Cluster, kubelet: OwnKubelet) -> None:
    with kubelet.running():
        Port(kubelet)
        start(cluster, kubelet, "lines", "for i in 1 2 3 4 5; do echo line $i; done; sleep 5; echo last")
        wait_for("the first lines", lambda: _logs(cluster, "lines"), lambda text: "line 5" in text)
        assert _logs(cluster, "lines", "--tail=0") == ""
        assert _logs(cluster, "lines", "--tail=2", "--since=10m").startswith("line ")
        assert _logs(cluster, "lines", "--limit-bytes=6") == "line 1"
        stamp, text = _logs(cluster, "lines", "--timestamps", "--tail=1").split(" ", 1)
        assert (stamp[:2], stamp[-1]) == ("20", "Z")
        assert text.endswith("\n")
        with cluster.follow("lines", "--tail=0") as reader:
            assert reader.stdout is not None
            assert reader.stdout.read() in ("last\n", ""), "nothing of what was there before"
        cluster.wait_phase("lines", "Succeeded")
        assert _logs(cluster, "lines", "--since-time=2099-01-01T00:00:00Z") == ""
        with pytest.raises(CommandError, match='previous terminated container "c0" in pod "lines" not found'):
            cluster.logs("lines", "--previous")
        with pytest.raises(CommandError, match="container nobody is not valid"):
            cluster.logs("lines", "-c", "nobody")


def _logs(cluster: Cluster, name: str, *options: str) -> str:
    try:
        return cluster.logs(name, *options)
    except CommandError as error:
        if "waiting to start" not in str(error):
            raise
        return ""


def test_one_stream_of_a_log_alone(cluster: Cluster, kubelet: OwnKubelet) -> None:
    # Asked at the port: kube-apiserver passes the option on only with its feature gate PodLogsQuerySplitStreams.
    with kubelet.running():
        port = Port(kubelet)
        start(cluster, kubelet, "two", "echo out; echo oops >&2")
        cluster.wait_phase("two", "Succeeded")
        path = f"/containerLogs/{cluster.namespace}/two/c0?stream="
        texts = {stream: port.raw(path + stream) for stream in ("All", "Stdout", "Stderr")}
        assert texts["Stdout"] == "out\n"
        assert texts["Stderr"] == "oops\n"
        assert sorted(texts["All"].splitlines()) == ["oops", "out"]


def test_a_follower_that_hangs_up_frees_the_log(cluster: Cluster, kubelet: OwnKubelet) -> None:
    with kubelet.running():
        port = Port(kubelet)
        start(cluster, kubelet, "endless", "while true; do date; sleep 1; done")
        wait_for("the first line", lambda: _logs(cluster, "endless"))
        followers: list[subprocess.Popen[str]] = [cluster.follow("endless") for _ in range(5)]
        admitted = 'interlink_vk_port_connections{admitted="true"}'
        # One more is the scrape itself.
        wait_for("five followers", lambda: _metric(port, admitted), lambda count: count == 6, within=30)
        for follower in followers:
            follower.kill()
            follower.communicate()
        wait_for("none", lambda: _metric(port, admitted), lambda count: count == 1, within=30)
        cluster.kubectl("delete", "pod", "endless", "--grace-period=1", "--wait=false")
        cluster.wait_gone("endless")


def _metric(port: Port, name: str) -> float:
    lines = dict(line.rsplit(" ", 1) for line in port.raw("/metrics").splitlines() if not line.startswith("#"))
    return float(lines[name])


def test_who_has_no_right_gets_nothing(cluster: Cluster, bed: Bed, kubelet: OwnKubelet) -> None:
    with kubelet.running():
        port = Port(kubelet)
        try:
            for account, verbs in (("scraper", "nodes/metrics,nodes/stats"), ("reader", "nodes/proxy")):
                role = f"{cluster.namespace}-{account}"
                cluster.kubectl("create", "serviceaccount", account)
                bed.kubectl("create", "clusterrole", role, "--verb=get", f"--resource={verbs}")
                subject = f"--serviceaccount={cluster.namespace}:{account}"
                bed.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", subject)
            scraper, reader, nobody = (
                cluster.kubectl("create", "token", account).strip() for account in ("scraper", "reader", "default")
            )
            assert [port.ask("/metrics", token)[0] for token in ("", "made-up", nobody)] == [401, 401, 403]
            code, text = port.ask("/metrics", scraper)
            assert code == 200
            assert "interlink_vk_lease_age_seconds" in text
            assert port.ask("/stats/summary", scraper)[0] == 200
            assert port.ask("/pods", scraper)[0] == 403
            assert port.ask("/metrics", reader)[0] == 403
            assert [port.ask(path, reader)[0] for path in ("/pods", "/runningpods/", "/configz")] == [200, 200, 200]
            code, words = port.ask("/exec/default/p/c?command=id", reader)
            assert code == 403, "GET with the right to get only"
            assert "verb=create" in words
            assert port.ask("/healthz") == (200, "ok")
        finally:
            for role in (f"{cluster.namespace}-scraper", f"{cluster.namespace}-reader"):
                bed.kubectl("delete", "clusterrole,clusterrolebinding", role, "--ignore-not-found")


def test_what_monitoring_asks_comes_through_kube_apiserver(cluster: Cluster, kubelet: OwnKubelet) -> None:
    with kubelet.running():
        port = Port(kubelet)
        start(cluster, kubelet, "runs", "sleep 600")
        cluster.wait_phase("runs", "Running")
        uid = cluster.pod("runs")["metadata"]["uid"]
        assert [item["metadata"]["uid"] for item in json.loads(port.raw("/pods"))["items"]] == [uid]
        assert [item["metadata"]["uid"] for item in json.loads(port.raw("/runningpods/"))["items"]] == [uid]
        summary = json.loads(port.raw("/stats/summary"))
        assert [item["podRef"]["uid"] for item in summary["pods"]] == [uid]
        assert "cpu" not in summary["node"]
        assert json.loads(port.raw("/configz"))["kubeletconfig"]["port"] == port.number
        assert _metric(port, 'interlink_vk_pods{phase="Running"}') == 1
        assert _metric(port, 'interlink_vk_requests_total{to="edge",method="POST",code="200"}') >= 1
        assert port.raw("/metrics/resource").endswith("resource_scrape_error 0\n")
        for words in (["exec", "runs", "--", "true"], ["attach", "runs"]):
            with pytest.raises(CommandError, match=r"not supported by the virtual kubelet|unable to upgrade|501"):
                cluster.kubectl(*words)
        cluster.kubectl("delete", "pod", "runs", "--grace-period=1", "--wait=false")


def test_a_request_is_approved_late_signed_and_renewed(bed: Bed, kubelet: OwnKubelet) -> None:
    with kubelet.running():
        port = Port(kubelet)
        (request,) = wait_for("a request", port.requests)
        spec = request["spec"]
        assert spec["signerName"] == "kubernetes.io/kubelet-serving"
        asked = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
        assert asked.subject.rfc4514_string() == f"CN=system:node:{kubelet.node},O=system:nodes"
        time.sleep(3)  # nobody approves meanwhile, and it serves all the same
        assert not port.trusted()
        assert port.raw("/healthz") == "ok"
        own = port.certificate()
        assert own.issuer == own.subject
        bed.kubectl("certificate", "approve", request["metadata"]["name"])
        wait_for("a certificate of the cluster's", port.trusted, within=30)
        first = port.certificate()
        assert first.subject == asked.subject
        assert port.raw("/healthz") == "ok"
        kubelet.ahead = 0.92 * YEAR
        another_request(port, request["metadata"]["uid"])
        assert port.certificate() == first
        bed.kubectl("certificate", "approve", kubelet.node)
        wait_for("another certificate", port.certificate, lambda shown: shown != first, within=30)
        assert port.trusted()
        assert port.certificate().public_key() != first.public_key()
        kubelet.ahead = 1.5 * YEAR
        wait_for("its own again, once that has ended", port.trusted, lambda trusted: not trusted, within=30)
        assert port.raw("/healthz") == "ok"
        kubelet.ahead = 0.0


def another_request(port: Port, before: str) -> str:
    """Wait for the node's only request to be another than the one of this UID; return its UID."""

    def uids() -> list[str]:
        return [request["metadata"]["uid"] for request in port.requests()]

    (uid,) = wait_for("another request", uids, lambda seen: seen not in ([], [before]), within=30)
    return uid


def test_each_start_leaves_one_request_and_the_last_one_counts(bed: Bed, kubelet: OwnKubelet) -> None:
    uid = ""
    for _ in range(2):
        with kubelet.running():
            uid = another_request(Port(kubelet), uid)
    with kubelet.running():
        port = Port(kubelet)
        another_request(port, uid)
        bed.kubectl("certificate", "approve", kubelet.node)
        wait_for("a certificate of the cluster's", port.trusted, within=30)
        assert [request["metadata"]["name"] for request in port.requests()] == [kubelet.node]


def test_a_denied_request_leaves_the_port_as_it_is(bed: Bed, kubelet: OwnKubelet) -> None:
    with kubelet.running():
        port = Port(kubelet)
        (request,) = wait_for("a request", port.requests)
        bed.kubectl("certificate", "deny", request["metadata"]["name"])
        selector = f"--field-selector=involvedObject.name={kubelet.node},reason=CertificateNotSigned"
        wait_for("an event", lambda: bed.kubectl("get", "events", "-A", selector, "-o", "name"), within=30)
        assert port.raw("/healthz") == "ok"
        assert len(port.requests()) == 1


def test_it_approves_itself_where_it_is_told_to(kubelet: OwnKubelet) -> None:
    kubelet.change(kubelet_cert_approve=True)
    with kubelet.running():
        wait_for("a certificate of the cluster's", Port(kubelet).trusted, within=30)


def test_a_certificate_of_files_comes_first(bed: Bed, kubelet: OwnKubelet) -> None:
    certificate, key = (bed.paths.pki / f"kubelet-server.{kind}" for kind in ("crt", "key"))
    kubelet.change(kubelet_cert_file=certificate, kubelet_key_file=key)
    with kubelet.running():
        port = Port(kubelet)
        assert port.certificate() == x509.load_pem_x509_certificate(certificate.read_bytes())
        assert not port.requests()
