"""``scancel``: a signal to a job's batch step, or the job's end (scancel(1))."""

from dataclasses import dataclass

from interlink.sidecars.slurm.driver import SlurmRefused, SlurmUnavailable
from interlink.sidecars.slurm.drivers.cli import words
from interlink.sidecars.slurm.drivers.slurm_errors import ALREADY_OVER, JOB_PENDING, failure
from interlink.sidecars.slurm.transport.host import Finished


@dataclass(frozen=True)
class Scancel:
    """One job's end, or with ``signal`` a signal (``TERM``) to its batch script alone."""

    program: str
    job_id: int
    signal: str = ""

    def argv(self) -> list[str]:
        """Return the command."""
        signal = [f"--signal={self.signal}", "--batch"] if self.signal else []
        return [self.program, *signal, str(self.job_id)]

    def parse(self, finished: Finished) -> bool:
        """Return False where there is no batch step to signal yet. Raises SlurmRefused, SlurmUnavailable.

        A job that is over, or that nobody knows, is no error.
        """
        if not words.is_error(finished):
            return True
        said = words.said(finished)
        number = words.error_number(said)
        if self.signal and number in JOB_PENDING:
            return False
        if number in ALREADY_OVER:
            return True
        text = said or f"scancel ended with status {finished.status}"
        if number is not None and failure(number, text).refused:
            raise SlurmRefused(text)
        raise SlurmUnavailable(text)
