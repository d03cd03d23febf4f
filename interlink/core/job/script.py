"""The batch script of a pod's job: a fixed template with three paths in it, and the administrator's CommandPrefix.

Where the administrator lets a namespace bring shell text of its own (pre-exec), that stands in it to the letter, behind
a command: sbatch reads no #SBATCH line after one.

The template is templates/job/batch.sh.j2; the wheel carries it as interlink/core/job/templates. It is read once, like
code.
"""

import shlex
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import jinja2

_HERE = Path(__file__).parent
#: In an installed wheel, and in a checkout.
_FOLDERS = (_HERE / "templates", _HERE.parents[2] / "templates" / "job")
#: Stands for the path of the plan while the template is rendered; the shell's quoting leaves it as it is.
_PLAN = "@plan@"


@dataclass(frozen=True, kw_only=True)
class ScriptSettings:
    """The administrator's part of every script; paths are those of the compute nodes."""

    python: str
    runner: str
    shell: str = "/bin/bash"
    #: Shell text of the administrator's, which goes in as it is.
    command_prefix: str = ""


def batch_script(settings: ScriptSettings, *, plan: str, pre_exec: str = "") -> str:
    """Return the script that replaces its shell by the pod runner with the plan.

    The paths are quoted; ``pre_exec`` is the pod's own shell text, which the caller has let through.
    """
    return _before_plan(settings, pre_exec) + shlex.quote(plan) + "\n"


@lru_cache(maxsize=16)
def _before_plan(settings: ScriptSettings, pre_exec: str) -> str:
    """Return the script up to the path of its plan, its last word: all that differs between the pods of a site.

    So the template is not rendered anew for each pod, which cost more than the rest of the script's making.
    """
    script = _template().render(
        shell=settings.shell,
        python=settings.python,
        runner=settings.runner,
        plan=_PLAN,
        command_prefix=settings.command_prefix.strip(),
        pre_exec=pre_exec,
    )
    if not script.endswith(f" {_PLAN}\n"):
        raise ValueError("templates/job/batch.sh.j2 must end with the plan's path and a line's end")
    return script.removesuffix(f"{_PLAN}\n")


@cache
def _template() -> jinja2.Template:
    """Load the template; an undefined name in it is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDERS),
        autoescape=False,  # noqa: S701 - a shell script, whose quoting is shlex's
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quote"] = shlex.quote
    return environment.get_template("batch.sh.j2")
