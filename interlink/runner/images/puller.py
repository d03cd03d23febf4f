"""``pod_runner --pull``: brings one image into the site's cache. A process of its own, which may wait and block.

Started by ``image.py`` with a request on its stdin (it holds credentials); answers in lines of JSON on its stdout:
``progress``, and at last ``key`` and ``digest`` of what is in the cache and the ``seconds`` that the pull itself took
(0: it was there), or ``fault`` (and ``reason``).
"""

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional, Tuple

from interlink.runner.files import RunnerError, as_utf8, words
from interlink.runner.images.cache import Cache, Lock, allow
from interlink.runner.images.credentials import Credential, fitting, for_name
from interlink.runner.images.reference import InvalidName, Reference, parse
from interlink.runner.images.registry import Manifest, Registry, RegistryError, architecture
from interlink.runner.processes import die_with_parent
from interlink.runner.runtimes import Launch, Source, runtime_of

#: Progress is told after this many seconds, and then each time half as many more have gone by.
FIRST_WORD, FACTOR = 5.0, 1.5
#: So much of what a runtime says is kept for its last words.
_LAST_LINES = 40


def main() -> int:
    """Carry out the request on stdin."""
    # A pull that is not wanted any more cleans up after itself.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    request = json.loads(os.fsdecode(sys.stdin.buffer.read()))
    try:
        Puller(request["plan"], request["name"], request["policy"]).run()
    except InvalidName as error:
        tell(reason="InvalidImageName", fault=str(error))
    except (RunnerError, OSError, ValueError) as error:
        tell(fault="{}: {}".format(request["name"], words(error)))
    return 0


def tell(**what: Any) -> None:
    """Say a line to the runner."""
    sys.stdout.buffer.write(as_utf8(json.dumps(what, ensure_ascii=False) + "\n"))
    sys.stdout.buffer.flush()


class Puller:
    """One image on its way into the cache."""

    def __init__(self, plan: Dict[str, Any], name: str, policy: str) -> None:
        self.name, self.policy, self.plan = name, policy, plan
        self.runtime = runtime_of(plan)
        self.cache = Cache(plan["runtime"].get("imageCache", ""), self.runtime.suffix)
        self.credentials = plan["runtime"].get("credentials", ())
        self.insecure = plan["runtime"].get("insecureRegistries", ())
        self.seconds = 0.0

    def run(self) -> None:
        """Pull what is missing, and say what is there. Raises RunnerError, OSError, ValueError."""
        scheme = self.name.partition("://")[0] if "://" in self.name else "docker"
        if scheme == "docker":
            self._by_digest(parse(self.name))
        else:
            self._by_name(scheme)

    def _by_digest(self, reference: Reference) -> None:
        registry, digest = self._resolve(reference)
        key = self.cache.key(digest, architecture())
        lock = self._locked(key)
        try:
            known = self.cache.known(key)
            if known is None:
                manifest = registry.manifest(digest)
                known = {"name": reference.name, "digest": digest, "config": manifest.config}
                allow(known, reference.name, registry.credential if registry.used else None)
                self._fetch(key, known, self._source(reference, manifest, registry.credential), manifest)
            elif allow(known, reference.name, registry.credential if registry.used else None):
                self.cache.remember(key, known)
            self.cache.remember_name(self.name, digest)
        finally:
            lock.close()
        tell(key=key, digest=digest, seconds=self.seconds)

    def _resolve(self, reference: Reference) -> Tuple[Registry, str]:
        """Return the digest, and the registry as it was opened: with the first fitting credential that it takes."""
        refusals: List[str] = []
        candidates: List[Optional[Credential]] = [*fitting(self.credentials, reference)]
        for credential in candidates or [None]:
            registry = Registry(reference, credential, reference.registry in self.insecure)
            try:
                return registry, registry.digest()
            except RegistryError as error:
                if not error.denied:
                    raise
                refusals += [str(error)] if str(error) not in refusals else []
        raise RunnerError("; ".join(refusals))

    def _source(self, reference: Reference, manifest: Manifest, credential: Optional[Credential]) -> Source:
        return Source(
            name="docker://{}@{}".format(reference.name, manifest.digest),
            registry=reference.registry,
            repository=reference.repository,
            digest=manifest.digest,
            insecure=reference.registry in self.insecure,
            **(credential or Credential())._asdict(),
        )

    def _by_name(self, scheme: str) -> None:
        """Pull what has no digest that somebody would tell (oras, library, http …): kept by its name."""
        registry = parse(self.name.partition("://")[2]).registry if scheme == "oras" else ""
        credential = for_name(self.credentials, self.name)
        key = self.cache.key_of_name(self.name, credential)
        lock = self._locked(key)
        try:
            if self.policy == "Always" or self.cache.known(key) is None:
                insecure = registry in self.insecure
                source = Source(self.name, registry, insecure=insecure, **(credential or Credential())._asdict())
                self._fetch(key, {"name": self.name}, source, None)
        finally:
            lock.close()
        tell(key=key, digest="", seconds=self.seconds)

    def _locked(self, key: str) -> Lock:
        lock = self.cache.lock(key)
        if not lock.try_now():
            tell(progress="Waiting for another job's pull of image {}".format(self.name))
            lock.wait()
        return lock

    def _fetch(self, key: str, known: Dict[str, Any], source: Source, manifest: Optional[Manifest]) -> None:
        """Let the runtime pull into a folder of its own, and put the file into its place."""
        scratch = self.cache.scratch(key)
        began = time.monotonic()
        try:
            target = os.path.join(scratch, "image" + self.runtime.suffix)
            progress = Progress(self.name, manifest)
            for launch in self.runtime.pull(source, target, scratch):
                progress.follow(launch, scratch)
            if not os.path.exists(target):
                raise RunnerError("the pull left no image")
            path = self.cache.path(key)
            # First what is known of it: an image without that would be pulled again and replaced. One that is the same
            # stays: replacing it would take it away from jobs on other nodes (NFS).
            self.cache.remember(key, known)
            if not same_contents(target, path):
                os.rename(target, path)
            self.seconds = time.monotonic() - began
        finally:
            shutil.rmtree(os.path.dirname(scratch), ignore_errors=True)


class Progress:
    """Runs a runtime's commands and tells how far they are, slower and slower."""

    def __init__(self, name: str, manifest: Optional[Manifest]) -> None:
        self.name, self.began, self.due = name, time.monotonic(), FIRST_WORD
        self.size = ""
        if manifest is not None:
            text = " ({:.0f} MB in {} layer{})"
            self.size = text.format(max(manifest.size / 1e6, 1), manifest.layers, "" if manifest.layers == 1 else "s")
        tell(progress="Pulling image {}{}".format(name, self.size))

    def follow(self, launch: Launch, folder: str) -> None:
        """Run one command to its end. Raises RunnerError with its last words if that is a bad one, OSError."""
        process = subprocess.Popen(
            launch.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=launch.environment, cwd=launch.folder or folder, preexec_fn=_own_group,
        )  # fmt: skip
        try:
            self._read(process, launch.argv[0])
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _read(self, process: "subprocess.Popen[bytes]", program: str) -> None:
        assert process.stdout is not None
        lines: List[str] = []
        rest = b""
        while True:
            if select.select([process.stdout], [], [], 1.0)[0]:
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    break
                *whole, rest = (rest + data[-65536:]).replace(b"\r", b"\n").split(b"\n")
                lines += [os.fsdecode(line).strip() for line in whole if line.strip()]
                del lines[:-_LAST_LINES]
            self._say(lines)
        lines += [os.fsdecode(rest).strip()] if rest.strip() else []
        if process.wait() != 0:
            fatal = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("FATAL:", "ERROR:"))]
            said = " ".join(fatal or lines[-3:])[-1000:]
            raise RunnerError(said or "{} ended with {}".format(program, process.returncode))

    def _say(self, lines: List[str]) -> None:
        elapsed = time.monotonic() - self.began
        if elapsed >= self.due:
            self.due = elapsed * FACTOR
            last = ": " + lines[-1].replace("INFO:", "").strip()[:200] if lines else ""
            tell(progress="Pulling image {}{}, {:.0f} s so far{}".format(self.name, self.size, elapsed, last))


def _own_group() -> None:
    """Let what the runtime starts be ended with it, and it with us."""
    os.setpgid(0, 0)
    die_with_parent()


def same_contents(one: str, other: str) -> bool:
    """Return whether two files hold the same bytes; a missing one does not."""
    if not os.path.exists(other) or os.path.getsize(one) != os.path.getsize(other):
        return False
    digests = []
    for path in (one, other):
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        digests.append(digest.digest())
    return digests[0] == digests[1]
