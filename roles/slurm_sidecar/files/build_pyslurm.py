"""Build pyslurm's wheel for this host's Slurm and Python, and put it into a folder, whole or not at all.

Run by the slurm_sidecar role, as root; everything that comes from a package index runs as the unprivileged user that
is named. Argument: JSON with version, sha256, cflags, headers (folder of slurm.h), library (folder of
libslurmfull.so), folder (for the wheel), uid, gid. Standard library only.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOOLS = ("cython>=3,<4", "setuptools>=77,<83", "wheel<1", "packaging<27")


def pretend_headers(headers: Path, target: Path, version: str) -> None:
    """Copy Slurm's headers and let them say pyslurm's own release, which its setup.py insists on."""
    shutil.copytree(headers, target / "slurm")
    major, minor, micro = (int(part) for part in version.split("."))
    file = target / "slurm/slurm_version.h"
    number = f"0x{major:02x}{minor:02x}{micro:02x}"
    file.write_text(
        re.sub(r"(define\s+SLURM_VERSION_NUMBER\s+)0x[0-9a-fA-F]+", rf"\g<1>{number}", file.read_text(errors="replace"))
    )


def main() -> None:
    """Build in a throw-away folder beside the wheel's own."""
    job = json.loads(sys.argv[1])
    folder = Path(job["folder"])
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pyslurm-build-", dir="/var/tmp") as name:
        work = Path(name)
        pretend_headers(Path(job["headers"]), work / "include", job["version"])
        (work / "requirements.txt").write_text(f"pyslurm=={job['version']} --hash=sha256:{job['sha256']}\n")
        for path in [work, *work.rglob("*")]:
            os.chown(path, job["uid"], job["gid"])
        environment = os.environ | {
            "HOME": name,
            "TMPDIR": name,
            "SLURM_INCLUDE_DIR": f"{work}/include",
            "SLURM_LIB_DIR": job["library"],
            # Its glue code is never what takes the time: compiling it half as long is worth more.
            "CFLAGS": f"{job['cflags']} -O1 -g0".strip(),
            "PYSLURM_BUILD_JOBS": str(os.cpu_count() or 1),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            "PIP_NO_CACHE_DIR": "1",
        }
        pip = f"{work}/tools/bin/pip"
        for command in (
            [sys.executable, "-m", "venv", f"{work}/tools"],
            [pip, "install", "--quiet", *TOOLS],
            [pip, "wheel", "--no-build-isolation", "--no-deps", "--require-hashes",
             "--wheel-dir", f"{work}/wheels", "--requirement", f"{work}/requirements.txt"],
        ):  # fmt: skip
            subprocess.run(
                command, cwd=work, env=environment, check=True, user=job["uid"], group=job["gid"], extra_groups=[]
            )
        (wheel,) = (work / "wheels").glob("pyslurm-*.whl")
        draft = folder / f".{wheel.name}.new"
        shutil.copyfile(wheel, draft)
        draft.chmod(0o644)
        draft.rename(folder / wheel.name)
        sys.stdout.write(f"{folder / wheel.name}\n")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"building pyslurm failed: {' '.join(map(str, error.cmd))} ended with {error.returncode}; see above")
