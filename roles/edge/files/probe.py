"""Say what an edge host has, as one line of JSON: run by the edge role with the host's Python.

Arguments: the virtual environment's folder. Standard library only.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def missing() -> list[str]:
    """Return what has to be installed: venv, compiler, headers."""
    found = {
        "venv": importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"),
        "compiler": shutil.which("gcc") and Path("/usr/include/stdio.h").exists(),
        "headers": Path(sysconfig.get_paths()["include"], "Python.h").exists(),
    }
    return [name for name, there in found.items() if not there]


def venv_python(folder: Path) -> str:
    """Return the Python version of the virtual environment; empty where there is none or it is broken."""
    python = folder / "bin" / "python"
    try:
        done = subprocess.run([python, "-c", VERSION], capture_output=True, text=True, check=False, timeout=30)
        pip = subprocess.run([python, "-c", "import pip"], capture_output=True, check=False, timeout=30)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 and pip.returncode == 0 else ""


def main() -> None:
    """Print the facts."""
    venv = Path(sys.argv[1])
    marker = venv / ".installed"
    facts = {
        "python": "{}.{}".format(*sys.version_info[:2]),
        "missing": missing(),
        "venv_exists": venv.exists(),
        "venv_python": venv_python(venv),
        "installed": marker.read_text().strip() if marker.exists() else "",
    }
    sys.stdout.write(json.dumps(facts))


if __name__ == "__main__":
    main()
