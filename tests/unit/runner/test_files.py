"""What every part of the runner writes."""

import subprocess
import sys
from pathlib import Path


def test_a_word_that_the_full_disk_does_not_take_ends_nothing() -> None:
    """The batch log lies on the disk that is full when the runner has something to say about it."""
    program = "from interlink.runner.files import say; say('a'); say('b'); print('goes on')"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, check=False)
    assert (done.returncode, done.stdout) == (0, b"goes on\n")
