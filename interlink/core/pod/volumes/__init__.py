"""A pod's volumes → the plan's volumes, by what the site opens (``VolumePolicy``); ``plan_contents`` while it runs."""

from interlink.core.pod.volumes.plan import plan_contents, plan_volumes
from interlink.core.pod.volumes.policy import ClaimRule, HostPathRule, VolumePolicy, refuse_devices

__all__ = ["ClaimRule", "HostPathRule", "VolumePolicy", "plan_contents", "plan_volumes", "refuse_devices"]
