"""The project as further parts of the test bed's graph."""

from tests.demo import image, playbook, tools, wheel
from tests.testbed.part import Part

TOOLS = Part("tools", "the development tools in .venv", (), tools.up, tools.health)

PROJECT = (
    TOOLS,
    Part("wheel", "the project's wheel", ("tools",), wheel.up, wheel.health),
    Part("vk-image", "the virtual kubelet's image", ("wheel", "image-base"), image.up, image.health),
    Part(
        "vk-image-in-cluster", "the image, in the cluster", ("vk-image", "cluster"),
        image.up_in_cluster, image.health_in_cluster,
    ),
    Part(
        "site.yml", "ansible-playbook site.yml", ("vk-image-in-cluster", "apptainer", "inventory"),
        playbook.up, playbook.health,
    ),
)  # fmt: skip
