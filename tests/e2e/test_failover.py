"""Two replicas of one virtual kubelet on real parts: fail-over within 30 s, and no pod notices."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, Object
from tests.e2e.replicas import Replica, Replicas
from tests.e2e.slurm import Slurm
from tests.e2e.waiting import wait_for
from tests.testbed.bed import Bed

#: What the issue promises.
FAILOVER = 30


@pytest.fixture
def replicas(bed: Bed, cluster: Cluster, tmp_path: Path) -> Replicas:
    return Replicas(bed, tmp_path, cluster.namespace)


@pytest.fixture
def pair(replicas: Replicas) -> Iterator[tuple[Replica, Replica]]:
    with replicas.pair() as both:
        yield both


class Witness:
    """A pod that runs over the fail-over, and what must not change of it and its node."""

    def __init__(self, cluster: Cluster, slurm: Slurm, replicas: Replicas) -> None:
        self.cluster, self.slurm, self.replicas = cluster, slurm, replicas
        script = "until [ -e /tmp/never ]; do sleep 0.2; done & trap 'exit 0' TERM; wait"
        self.uid = cluster.start("witness", nodeName=replicas.node, nodeSelector={}, script=script)["metadata"]["uid"]
        cluster.wait_phase("witness", "Running")
        self.ready = replicas.ready_since()
        self.before = self.facts()

    def facts(self) -> tuple[str, Object, dict[int, str]]:
        found = self.cluster.pod("witness")
        return found["metadata"]["resourceVersion"], found["status"], self.slurm.jobs(self.uid)

    def assert_untouched(self) -> None:
        assert self.facts() == self.before
        assert self.replicas.ready_since() == self.ready
        assert self.ready[0] == "True"

    def assert_the_new_leader_ends_it(self) -> None:
        self.cluster.kubectl("delete", "pod", "witness", "--wait=false")
        self.cluster.wait_gone("witness")
        assert self.slurm.living(self.uid) == {}
        assert len(self.slurm.jobs(self.uid)) == 1


@pytest.fixture
def witness(cluster: Cluster, slurm: Slurm, replicas: Replicas, pair: tuple[Replica, Replica]) -> Witness:
    return Witness(cluster, slurm, replicas)


def taken_over(by: Replica) -> float:
    """Wait until the replica leads and is the node; return how many seconds that took."""
    began = time.monotonic()
    wait_for("the standby to lead", lambda: by.leads, within=FAILOVER)
    wait_for("the standby to be the node", lambda: by.is_the_node, within=FAILOVER - (time.monotonic() - began))
    return time.monotonic() - began


def test_a_killed_leaders_standby_takes_over_and_no_pod_notices(
    pair: tuple[Replica, Replica], witness: Witness
) -> None:
    leader, standby = pair
    leader.send(signal.SIGKILL)
    leader.wait()
    seconds = taken_over(standby)
    print(f"kill -9: taken over after {seconds:.1f} s")
    assert seconds > 10, "it waited for the lease to expire"
    witness.assert_untouched()
    witness.assert_the_new_leader_ends_it()


def test_a_stopped_leader_gives_the_lease_back(pair: tuple[Replica, Replica], witness: Witness) -> None:
    leader, standby = pair
    leader.send(signal.SIGTERM)
    assert leader.wait() == 0
    seconds = taken_over(standby)
    print(f"SIGTERM: taken over after {seconds:.1f} s")
    assert seconds < 8
    witness.assert_untouched()


def test_a_leader_that_wakes_up_finds_itself_standing_by_and_changes_nothing(
    pair: tuple[Replica, Replica], replicas: Replicas, witness: Witness
) -> None:
    leader, standby = pair
    leader.send(signal.SIGSTOP)
    try:
        seconds = taken_over(standby)
        print(f"SIGSTOP: taken over after {seconds:.1f} s")
    finally:
        leader.send(signal.SIGCONT)
    holder = replicas.holder()
    wait_for("the one that woke up to stand by", lambda: leader.is_ready_to_take_over, within=FAILOVER)
    # It looked at the node every 10 s, and would write its own address there.
    deadline = time.monotonic() + 12
    while time.monotonic() < deadline:
        assert standby.is_the_node
        assert replicas.holder() == holder
        time.sleep(1)
    assert leader.process
    assert leader.process.poll() is None, "the same process goes on"
    assert not leader.serves_the_kubelet_port
    witness.assert_untouched()
    witness.assert_the_new_leader_ends_it()


def test_a_leader_that_is_cut_off_has_stopped_before_another_begins(
    pair: tuple[Replica, Replica], witness: Witness
) -> None:
    leader, standby = pair
    leader.cable.whole.clear()
    cut = time.monotonic()
    wait_for("the leader to stop", lambda: not leader.serves_the_kubelet_port, within=20)
    assert not standby.serves_the_kubelet_port, "nobody works now"
    assert not standby.leads
    print(f"cut off: stopped after {time.monotonic() - cut:.1f} s")
    taken_over(standby)
    print(f"cut off: taken over after {time.monotonic() - cut:.1f} s")
    assert time.monotonic() - cut < FAILOVER
    status, text = leader.ask("/readyz")
    assert (status, "cannot be read" in text) == (500, True), "it could not take over"
    assert leader.ask("/healthz")[0] == 200, "and a new start would not help"
    leader.cable.whole.set()
    wait_for("the first one to stand by", lambda: leader.is_ready_to_take_over, within=FAILOVER)
    assert standby.leads
    witness.assert_untouched()
    witness.assert_the_new_leader_ends_it()


def test_after_an_outage_longer_than_the_lease_one_of_the_same_processes_goes_on(
    pair: tuple[Replica, Replica], witness: Witness
) -> None:
    for member in pair:
        member.cable.whole.clear()
    wait_for("nobody to work", lambda: not any(member.serves_the_kubelet_port for member in pair), within=20)
    time.sleep(15)
    assert not any(member.serves_the_kubelet_port for member in pair)
    assert not any(member.leads for member in pair)
    for member in pair:
        member.cable.whole.set()
    wait_for("one to lead", lambda: [member.leads for member in pair], lambda seen: sum(seen) == 1, within=FAILOVER)
    wait_for("it to be the node", lambda: any(member.leads and member.is_the_node for member in pair), within=FAILOVER)
    assert all(member.process and member.process.poll() is None for member in pair)
    witness.assert_untouched()
    witness.assert_the_new_leader_ends_it()
