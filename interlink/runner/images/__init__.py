"""Images: pulled once per digest into the site's locked cache, by a process of its own; or files of the site.

``image.py`` is what the pod sees, in the runner's loop; ``puller.py`` runs beside it (``pod_runner --pull``) and may
wait for locks and registries; ``cache.py`` is what both know of the shared folder.
"""

from interlink.runner.images.image import Image

__all__ = ["Image"]
