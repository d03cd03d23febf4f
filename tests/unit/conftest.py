"""What all fast tests share."""

from hypothesis import settings

# How long one example takes says nothing on a machine that does other things too.
settings.register_profile("interlink", deadline=None)
settings.load_profile("interlink")
