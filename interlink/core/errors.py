"""The core's one error: this pod cannot run here as it is written.

Raised while a pod is turned into a plan; the sidecars answer it with 422 and the sentence, which names the field.
"""


class UnsupportedPod(Exception):
    """The pod asks for what this edge does not do; ``str()`` is the sentence for the pod's author."""
