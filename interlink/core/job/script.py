"""The batch script of a pod's job: a fixed template with three paths in it, and the administrator's CommandPrefix.

The template is templates/job/batch.sh.j2; the wheel carries it as interlink/core/job/templates. It is read once, like
code.
"""

import shlex
from functools import cache
from pathlib import Path

import jinja2

_HERE = Path(__file__).parent
#: In an installed wheel, and in a checkout.
_FOLDERS = (_HERE / "templates", _HERE.parents[2] / "templates" / "job")


def batch_script(*, python: str, runner: str, plan: str, command_prefix: str = "") -> str:
    """Return the script that replaces its shell by the pod runner with the plan.

    The paths are quoted; ``command_prefix`` is the administrator's own shell text and goes in as it is.
    """
    return _template().render(python=python, runner=runner, plan=plan, command_prefix=command_prefix.strip())


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
