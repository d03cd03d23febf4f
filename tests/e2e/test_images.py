"""Images from a registry that wants a password, and what an image says of how it runs."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, container
from tests.e2e.waiting import wait_for
from tests.testbed import images
from tests.testbed.bed import Bed
from tests.testbed.machine import tool
from tests.testbed.process import run

Object = dict[str, Any]
PORT = 5101
USER, PASSWORD = "alice", "s3cret"
#: bcrypt of the password, as docker-registry's htpasswd wants it.
HTPASSWD = f"{USER}:$2b$05$ihwqPsVHhErnaV9UYhMzx.1NBQrBxceReE5JeZdDAvshPn5QR2gRO\n"
ODD = "a b;$HOME `id` \"q\" 'q' \\ ü\nsecond\r\n\tline *"
DOCKERFILE = r"""
FROM {busybox}
ENV EMPTY= OVER=image ODD='a b;$HOME `id` "q" \ x' PATH=/bin:/opt
LABEL made={made}
WORKDIR /work/dir
USER 1234
ENTRYPOINT ["/bin/sh", "-c", "pwd; printf '[%s]' \"$0\" \"$@\"", "entry point"]
CMD ["default", "a  b"]
"""


class Registry:
    """A registry of the tests' own, with one user and one image that it never had before, under two tags."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        self.bed, self.folder = bed, folder
        self.address = f"{bed.network.gateway}:{PORT}"
        self.image = f"docker://{self.address}/private:1"
        self.other_tag = f"docker://{self.address}/private:same"
        (folder / "htpasswd").write_text(HTPASSWD)
        config = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
            "auth": {"htpasswd": {"realm": "bed", "path": str(folder / "htpasswd")}},
            "http": {
                "addr": self.address,
                "tls": {"certificate": str(bed.paths.pki / "registry.crt"), "key": str(bed.paths.pki / "registry.key")},
            },
        }
        (folder / "config.yml").write_text(json.dumps(config))

    def fill(self) -> None:
        """Build the image and push it with both tags."""
        name = f"interlink-e2e/private:{self.folder.name}"
        text = DOCKERFILE.format(busybox=images.tag(self.bed, "busybox"), made=time.time_ns())
        self.bed.docker("build", "--tag", name, "-", stdin=text)
        certificates = self.bed.paths.run / "registry" / "certificates"
        for image in (self.image, self.other_tag):
            run([
                "skopeo", "copy", "--quiet", "--insecure-policy", "--src-daemon-host", self.bed.docker.host,
                "--dest-cert-dir", certificates, "--dest-creds", f"{USER}:{PASSWORD}", f"docker-daemon:{name}", image,
            ])  # fmt: skip
        self.bed.docker("image", "rm", name)


@pytest.fixture(scope="module")
def registry(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    registry = Registry(bed, tmp_path_factory.mktemp("registry"))
    with (registry.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [tool(bed, "docker-registry"), "serve", registry.folder / "config.yml"], stdout=log, stderr=log
        )
    try:
        wait_for("the registry", lambda: _answers(registry.address))
        registry.fill()
        yield registry
    finally:
        process.terminate()
        process.wait(20)


def _answers(address: str) -> bool:
    answer = run(["curl", "--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}",
                  "--retry", "20", "--retry-connrefused", "--retry-delay", "1", f"https://{address}/v2/"])  # fmt: skip
    return answer == "401"


def pull_secret(registry: Registry, name: str, password: str) -> Object:
    """Return a kubernetes.io/dockerconfigjson Secret."""
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    config = base64.b64encode(json.dumps({"auths": {registry.address: {"auth": auth}}}).encode()).decode()
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": config}}  # fmt: skip


def private(registry: Registry, name: str, **fields: Any) -> Object:
    """Return a container of the private image that says nothing of its command."""
    made = container("", name) | {"image": registry.image} | fields
    return {key: value for key, value in made.items() if value is not None and value != ["sh", "-c", ""]}


def test_a_private_image_runs_as_it_says_and_is_only_for_who_may_have_it(
    cluster: Cluster, bed: Bed, registry: Registry
) -> None:
    cluster.apply(pull_secret(registry, "right", PASSWORD))
    show = ["cat", "/proc/self/environ"]
    env = [{"name": "ODD_OF_POD", "value": ODD}, {"name": "OVER", "value": ""}, {"name": "my.var", "value": "1"},
           {"name": "HOME", "value": "/pod home"}, {"name": "PATH", "value": "/bin:/a b"}]  # fmt: skip
    containers = [
        private(registry, "neither"),
        private(registry, "args", args=["", "x y"], image=registry.other_tag),
        private(registry, "command", command=["echo", "own  words"]),
        private(registry, "both", command=["sh", "-c", 'pwd; echo "$@" > /dev/termination-log', "sh"], args=["last"],
                workingDir="/usr"),
        private(registry, "user", command=["sh", "-c", "id -un; echo $HOME; touch ~/x && echo writable"],
                securityContext={"runAsNonRoot": True}),
        private(registry, "image-env", command=show),
        private(registry, "pod-env", command=show, env=env),
    ]  # fmt: skip
    cluster.start("matrix", containers=containers, imagePullSecrets=[{"name": "gone"}, {"name": "right"}])
    pod = cluster.wait_phase("matrix", "Succeeded", "Failed")
    assert pod["status"]["phase"] == "Succeeded", pod["status"]
    assert cluster.logs("matrix", "-c", "neither") == "/work/dir\n[entry point][default][a  b]"
    assert cluster.logs("matrix", "-c", "args") == "/work/dir\n[entry point][][x y]"
    assert cluster.logs("matrix", "-c", "command") == "own  words\n"
    assert cluster.logs("matrix", "-c", "both") == "/usr\n"
    user, home, writable = cluster.logs("matrix", "-c", "user").split()
    assert (user, home.rpartition("/")[2], writable) == ("interlink", "interlink", "writable")  # and not 1234
    statuses = {item["name"]: item for item in pod["status"]["containerStatuses"]}
    assert statuses["both"]["state"]["terminated"]["message"] == "last\n"

    of_image = environment(cluster.logs("matrix", "-c", "image-env"))
    expected = {"EMPTY": "", "OVER": "image", "ODD": 'a b;$HOME `id` "q" \\ x', "PATH": "/bin:/opt"}
    assert {name: of_image.get(name) for name in expected} == expected
    of_pod = environment(cluster.logs("matrix", "-c", "pod-env"))
    for variable in env:
        assert of_pod.get(variable["name"]) == variable["value"]
    assert of_pod["ODD"] == expected["ODD"]

    digests = {item["imageID"].partition("@")[2] for item in statuses.values()}
    (digest,) = digests
    assert statuses["neither"]["imageID"] == f"{registry.address}/private@{digest}"
    cached = bed.site(["sh", "-c", f"ls /srv/interlink/images/{digest.replace(':', '-')}.*.sif"]).split()
    assert len(cached) == 1

    # It is in the cache now; a pod without the secret must not have it from there (KEP-2535).
    cluster.start("stranger", containers=[private(registry, "main")])
    refused = wait_for("the refusal", lambda: cluster.waiting("stranger"), lambda seen: "reason" in seen and
                       seen["reason"] in ("ErrImagePull", "ImagePullBackOff"))  # fmt: skip
    assert "authentication required" in refused["message"]
    cluster.kubectl("delete", "pod", "stranger", "--wait=false")


def environment(log: str) -> dict[str, str]:
    """Return the variables of /proc/self/environ."""
    return dict(pair.split("=", 1) for pair in log.split("\0") if "=" in pair)


def test_a_wrong_password_backs_off_with_the_registrys_words_and_without_the_password(
    cluster: Cluster, bed: Bed, registry: Registry
) -> None:
    cluster.apply(pull_secret(registry, "wrong", "n0t-this-one"))
    pod = cluster.start("locked", containers=[private(registry, "main")], imagePullSecrets=[{"name": "wrong"}])
    seen = wait_for(
        "the back-off", lambda: cluster.waiting("locked"), lambda seen: seen.get("reason") == "ImagePullBackOff"
    )
    assert f"https://{registry.address}/v2/private/manifests/1: 401" in seen["message"]
    assert "authentication required" in seen["message"]
    uid = pod["metadata"]["uid"]
    said = bed.site(["sh", "-c", f"cd /srv/interlink/jobs/{uid}; cat batch.log report.json; scontrol show job -dd"])
    assert "n0t-this-one" not in said + json.dumps(cluster.pod("locked"))
    assert bed.site(["stat", "-c", "%a", f"/srv/interlink/jobs/{uid}/plan.json"]) == "600\n"
    cluster.kubectl("delete", "pod", "locked", "--wait=false")
