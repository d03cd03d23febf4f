"""The checks of ``interlink doctor``: each a small class that looks at one thing and says what to do about it."""
