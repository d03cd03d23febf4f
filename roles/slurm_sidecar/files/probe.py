"""Say which Slurm and systemd an edge host has, and which pyslurm its virtual environment, as one line of JSON.

Run by the slurm_sidecar role with the host's Python. Arguments: the folder Slurm was installed into (or ""), the
virtual environment, the folder of built wheels, the release of pyslurm. Standard library only.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

USUAL = ("/usr", "/usr/local", "/opt/slurm")


def slurm_version(sinfo: str | None) -> str:
    """Return the version that sinfo says ("26.05.5"); empty where there is none."""
    if not sinfo:
        return ""
    done = subprocess.run([sinfo, "--version"], capture_output=True, text=True, check=False, timeout=30)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found.group() if found else ""


def header_version(prefix: Path) -> str:
    """Return the version of Slurm's headers; empty where they are not installed."""
    header = prefix / "include/slurm/slurm_version.h"
    if not header.exists():
        return ""
    found = re.search(r"define\s+SLURM_VERSION_NUMBER\s+0x([0-9a-fA-F]{6})", header.read_text(errors="replace"))
    if not found:
        return ""
    major, minor, micro = bytes.fromhex(found.group(1))
    return f"{major}.{minor:02d}.{micro}"


def library_folder(prefix: Path) -> str:
    """Return the folder of libslurmfull.so, against which pyslurm links; empty where there is none."""
    found = [path for lib in ("lib64", "lib") for path in prefix.glob(f"{lib}/**/libslurmfull.so")]
    return str(found[0].parent) if found else ""


def systemd_release() -> int:
    """Return systemd's release (255), by which settings of units mean different things; 0 where it does not say."""
    done = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=False, timeout=30)
    found = re.match(r"systemd (\d+)", done.stdout)
    return int(found.group(1)) if found else 0


def main() -> None:
    """Print the facts."""
    given, venv, cache, release = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    folders = [f"{prefix}/bin" for prefix in ([given] if given else USUAL)]
    sinfo = shutil.which("sinfo", path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    prefix = Path(given) if given else Path(sinfo).parent.parent if sinfo else Path("/usr")
    slurm, headers = slurm_version(sinfo), header_version(prefix)
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    folder = cache / f"slurm-{headers or slurm}-{tag}-{platform.machine()}"
    marker = venv / ".pyslurm-installed"
    facts = {
        "slurm": slurm,
        "headers": headers,
        "release": ".".join((headers or slurm).split(".")[:2]),
        "prefix": str(prefix),
        "library": library_folder(prefix),
        "folder": str(folder),
        "wheel": next((str(path) for path in sorted(folder.glob(f"pyslurm-{release}-*.whl"))), ""),
        "systemd": systemd_release(),
        "installed": marker.read_text().strip() if marker.exists() else "",
    }
    sys.stdout.write(json.dumps(facts))


if __name__ == "__main__":
    main()
