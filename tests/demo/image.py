"""The virtual kubelet's image: built by the project's Dockerfile on the test bed's base, and put into the cluster."""

from tests.demo.project import CONSTRAINTS, ROOT
from tests.demo.wheel import wheel
from tests.testbed import cluster, images
from tests.testbed.bed import Bed
from tests.testbed.docker import CLIENT
from tests.testbed.errors import UnhealthyError
from tests.testbed.fingerprint import fingerprint
from tests.testbed.part import Step


def tag(bed: Bed) -> str:
    """Return the image's name; its tag says what it was made from."""
    key = fingerprint(wheel(), ROOT / "Dockerfile", CONSTRAINTS, images.tag(bed, "base"))
    return f"interlink-edge/vk:{key}"


def health(bed: Bed) -> str:
    """Say which image there is; raises UnhealthyError if there is none of this wheel."""
    image = bed.docker.inspect("image", tag(bed))
    if image is None:
        raise UnhealthyError(f"no image {tag(bed)}")
    return f"{tag(bed)}, {int(image['Size']) // 1_000_000} MB"


def up(bed: Bed, step: Step) -> None:
    """Build the image."""
    step.say(f"building {tag(bed)}")
    step.run(
        [
            CLIENT,
            "build",
            "--force-rm",
            "--build-arg",
            f"BASE_IMAGE={images.tag(bed, 'base')}",
            "--tag",
            tag(bed),
            ROOT,
        ],
        env=bed.docker.environment,
    )


def health_in_cluster(bed: Bed) -> str:
    """Say that the cluster's node has the image; raises UnhealthyError if not."""
    image = bed.docker.inspect("image", tag(bed))
    if image is None or not cluster.has_image(bed, tag(bed), image["Id"]):
        raise UnhealthyError(f"the cluster has no image {tag(bed)}")
    return tag(bed)


def up_in_cluster(bed: Bed, step: Step) -> None:
    """Bring the image into the cluster's container runtime."""
    step.say("loading the image into the cluster")
    bed.load_image(tag(bed))
