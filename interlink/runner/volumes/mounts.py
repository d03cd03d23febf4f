"""What one start of a container mounts, and what its process does before it becomes the runtime."""

import subprocess
from typing import List, NamedTuple, Optional

from interlink.runner.files import RunnerError
from interlink.runner.processes import die_with_parent
from interlink.runner.runtimes import Bind
from interlink.runner.volumes.stage import Stage


class Mounts(NamedTuple):
    """The binds for the runtime, and the stage that some of them come from. A process is started within its context.

    Leaving it raises RunnerError where ``prepare`` failed, with the reason.
    """

    binds: List[Bind]
    stage: "Optional[Stage]" = None

    def prepare(self) -> None:
        """Be called in the container's process, between fork and exec (``preexec_fn``)."""
        if self.stage is not None:
            self.stage.enter()
        die_with_parent()  # last: a change of credentials forgets it (prctl(2))

    def __enter__(self) -> "Mounts":
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        fault = ""
        if self.stage is not None:
            fault = self.stage.fault()
            self.stage.close()
        if isinstance(error, subprocess.SubprocessError):
            raise RunnerError(fault or str(error)) from error
