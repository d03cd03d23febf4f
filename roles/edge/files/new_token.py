"""Write a new bearer token of 32 random bytes to a file, whole or not at all; show it to nobody.

Arguments: the file, and the number of the group that may read it. Run by the edge role where the file is missing.
"""

import os
import secrets
import sys
from pathlib import Path

path = Path(sys.argv[1])
draft = path.with_name(f".{path.name}.new")
draft.unlink(missing_ok=True)
with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
    file.write(
        "# Bearer tokens that the InterLink API accepts, one a line; virtual kubelets show the first.\n"
        f"{secrets.token_urlsafe(32)}\n"
    )
    os.fchown(file.fileno(), 0, int(sys.argv[2]))
    os.fchmod(file.fileno(), 0o640)
    os.fsync(file.fileno())
draft.rename(path)
