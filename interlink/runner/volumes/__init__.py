"""The pod's volumes on the compute node: ``Volumes`` makes them, says what a container binds, and keeps them current.

Called by ``runner/pod.py`` (``look``, ``remove``) and ``runner/container.py`` (``mounts``).
"""

from interlink.runner.volumes.mounts import Mounts
from interlink.runner.volumes.volumes import Volumes

__all__ = ["Mounts", "Volumes"]
