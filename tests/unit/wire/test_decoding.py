"""Messages from several threads at once."""

import subprocess
import sys

import msgspec
import pytest

from interlink.wire.decoding import decode_json
from interlink.wire.messages import PodStatus

#: Many threads see a type for the first time at the same moment: decoding by msgspec alone dies of that in nine of ten.
FIRST_AT_ONCE = """
import sys, threading
from interlink.wire.decoding import decode_json
from interlink.wire.messages import RetrievedPodData
sys.setswitchinterval(1e-6)
together = threading.Barrier(16)
pod = b'{"pod":{"metadata":{"name":"a","namespace":"n","uid":"u"},"spec":{"containers":[]}}}'
def run():
    together.wait()
    data = b'{"pod":{"metadata":{"name":"a","namespace":"n","uid":"u"},"spec":{"containers":[]}}}'
    assert decode_json(data, RetrievedPodData).pod.metadata.name == "a"
threads = [threading.Thread(target=run) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_that_see_a_type_for_the_first_time_at_once_all_get_their_message() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_AT_ONCE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_message_is_decoded_and_what_is_none_is_refused() -> None:
    assert decode_json(b'{"name":"p","UID":"u","namespace":"n"}', PodStatus).name == "p"
    assert decode_json(b"null", list[PodStatus] | None) is None
    with pytest.raises(msgspec.ValidationError, match=r"at `\$.name`"):
        decode_json(b'{"name":3,"UID":"u","namespace":"n"}', PodStatus)
