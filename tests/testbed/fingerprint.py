"""Fingerprints: a thing is built anew when what it was made from has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path


def fingerprint(*inputs: str | bytes | Path) -> str:
    """Return 12 hex digits for texts, files (name and content) and folders (all files below)."""
    digest = hashlib.sha256()

    def add(data: bytes) -> None:
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)

    for item in inputs:
        if isinstance(item, Path):
            below = sorted(path for path in item.rglob("*") if path.is_file() and path.suffix != ".pyc")
            files = [item] if item.is_file() else below
            for file in files:
                add(file.name.encode())
                add(file.read_bytes())
        else:
            add(item.encode() if isinstance(item, str) else item)
    return digest.hexdigest()[:12]
