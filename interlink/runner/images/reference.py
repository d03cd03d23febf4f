"""Image names, as the container world writes them: registry, repository, tag and digest. Pure.

Grammar and Docker Hub's short names: github.com/distribution/reference.
"""

import re
from typing import NamedTuple

from interlink.runner.files import RunnerError

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(r"{0}(?:/{0})*".format(_COMPONENT))
_REGISTRY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST = 255
#: Docker Hub's name in image names, and the host of its API.
HUB, HUB_API = "docker.io", "registry-1.docker.io"


class InvalidName(RunnerError):
    """An image's name is none (the kubelet's InvalidImageName)."""


class Reference(NamedTuple):
    """One image in a registry; without tag and digest it would be ``latest``."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def api(self) -> str:
        """The host (and port) that answers for the registry."""
        return HUB_API if self.registry == HUB else self.registry

    @property
    def name(self) -> str:
        """Registry and repository, as imageID and credentials have them."""
        return "{}/{}".format(self.registry, self.repository)

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest where one is given, else the tag."""
        return self.digest or self.tag


def parse(image: str) -> Reference:
    """Return the parts of an image name (``docker://`` may stand before it). Raises InvalidName."""
    name = image[len("docker://") :] if image.startswith("docker://") else image
    rest, _, digest = name.partition("@")
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, colon, tag = rest, "", ""
    registry, slash, repository = path.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost" or registry != registry.lower()):
        registry, repository = HUB, path
    registry = HUB if registry == "index.docker.io" else registry
    if registry == HUB and "/" not in repository:
        repository = "library/" + repository
    for what, pattern, text in (
        ("registry", _REGISTRY, registry), ("repository", _REPOSITORY, repository),
        ("tag", _TAG, tag if colon else "latest"), ("digest", _DIGEST, digest or "sha256:" + "0" * 64),
    ):  # fmt: skip
        if not pattern.fullmatch(text) or len(repository) > _LONGEST:
            raise InvalidName('couldn\'t parse image name "{}": invalid {} "{}"'.format(image, what, text))
    if "@" in name and not digest:
        raise InvalidName('couldn\'t parse image name "{}": nothing behind "@"'.format(image))
    return Reference(registry, repository, tag or ("" if digest else "latest"), digest)
