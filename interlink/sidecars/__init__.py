"""Sidecars: the plugins behind InterLink. ``app`` is the HTTP side that all share, ``backend`` what differs."""
