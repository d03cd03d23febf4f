"""A pod's volumes → the plan's volumes: ``plan_volumes``, and what the site's policy opens (``VolumePolicy``)."""

from interlink.core.pod.volumes.plan import plan_volumes
from interlink.core.pod.volumes.policy import ClaimRule, HostPathRule, VolumePolicy

__all__ = ["ClaimRule", "HostPathRule", "VolumePolicy", "plan_volumes"]
