"""singularity-options and -mounts, enroot-options and -mounts: words of a pod that reach a container runtime.

Called by ``finish``. Only options of a known list pass, and binds only as what a volume of the plan says; nothing of it
is ever read by a shell.
"""

from dataclasses import dataclass
from typing import Literal

from interlink.core.errors import UnsupportedPod
from interlink.core.job.annotations import PREFIX, annotation
from interlink.core.job.flags import split_words
from interlink.core.pod.paths import check_absolute
from interlink.wire.pod import Pod

Runtime = Literal["singularity", "enroot"]
#: Options that give a container nothing but the GPUs of its own job, or a root of its own user namespace.
HARMLESS: dict[Runtime, frozenset[str]] = {
    "singularity": frozenset({"--nv", "--nvccli", "--rocm", "--userns", "-u"}),
    "enroot": frozenset({"--rw", "-w", "--root", "-r"}),
}
#: What holds for every container here; they are let through and change nothing.
ALREADY: dict[Runtime, frozenset[str]] = {
    "singularity": frozenset(
        {"--contain", "-c", "--containall", "-C", "--cleanenv", "-e", "--compat", "--no-eval", "--no-home", "--no-init"}
        | {"--no-umask", "--writable-tmpfs", "--pid", "-p", "--ipc", "-i", "--no-privs"}
    ),
    "enroot": frozenset(),
}
_BIND = {"singularity": ("--bind", "-B"), "enroot": ("--mount", "-m")}


@dataclass(frozen=True)
class SiteMount:
    """A path of the compute node and where containers see it."""

    source: str
    destination: str
    read_only: bool = False


def runtime_options(pod: Pod, runtime: Runtime, allowed: frozenset[str]) -> list[str]:
    """Return the options of the pod's annotation for this runtime.

    ``allowed`` are the site's own, with a value (``--env=A=b``) only behind an equals sign.
    Raises UnsupportedPod with the name of an option that is not let through.
    """
    name = f"{PREFIX}{runtime}-options"
    words = split_words(f"the annotation {name}", annotation(pod, f"{runtime}-options") or "")
    passed = []
    for word in words:
        option, equals, _ = word.partition("=")
        if not word.isprintable() or not option.startswith("-"):
            raise UnsupportedPod(f"the annotation {name}: {word[:60]!r} is no option of {runtime}")
        if option not in allowed and (option not in HARMLESS[runtime] | ALREADY[runtime] or equals):
            raise UnsupportedPod(f"the annotation {name}: {option[:60]} is not allowed on this site")
        if option in allowed or option in HARMLESS[runtime]:
            passed.append(word)
    return passed


def runtime_mounts(pod: Pod, runtime: Runtime) -> list[SiteMount]:
    """Return the binds of the pod's annotation: ``--bind /a:/b:ro,/c``, or the same without ``--bind``.

    Whether the site lets a source be mounted is its hostPath policy's to say.
    """
    where = f"the annotation {PREFIX}{runtime}-mounts"
    words = split_words(where, annotation(pod, f"{runtime}-mounts") or "")
    mounts = []
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option in _BIND[runtime]:
            binds = value if equals else next(rest, "")
        elif word.startswith("-"):
            raise UnsupportedPod(f"{where}: {option[:60]!r} is not allowed; only {' and '.join(_BIND[runtime])} are")
        else:
            binds = word
        mounts += [_mount(where, item) for item in binds.split(",")]
    return mounts


def _mount(where: str, text: str) -> SiteMount:
    """Return one bind, as ``source[:destination[:ro|rw]]``."""
    source, _, rest = text.partition(":")
    destination, _, mode = rest.partition(":")
    if mode not in ("", "ro", "rw"):
        raise UnsupportedPod(f"{where}: {mode[:60]!r} (of {text[:80]!r}) is not allowed; it can be ro or rw")
    check_absolute(where, source)
    return SiteMount(source, check_absolute(where, destination or source), read_only=mode == "ro")
