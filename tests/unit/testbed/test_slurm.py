"""The site's Slurm configuration, as the layout says it."""

from __future__ import annotations

import pytest

from tests.testbed import site, slurm
from tests.testbed.bed import Bed
from tests.testbed.errors import CommandError, UnhealthyError
from tests.testbed.layout import DEFAULT, SMALL, Host, Layout


def test_every_compute_host_is_a_node_with_its_gpus() -> None:
    found = slurm.settings(DEFAULT)
    nodes = [line for line in found["slurm.conf"].splitlines() if line.startswith("NodeName=")]
    assert [line.split()[0] for line in nodes] == ["NodeName=edge", "NodeName=c1"]
    assert "Gres=gpu:a100:2" in nodes[0]
    assert "NodeName=edge Name=gpu Type=a100 File=/var/lib/slurm/gpus/[0-1]" in found["gres.conf"].splitlines()
    assert "NodeName=c1 Name=gpu File=/var/lib/slurm/gpus/[0-1]" in found["gres.conf"].splitlines()


def test_the_small_form_is_one_node_that_plays_everything() -> None:
    found = slurm.settings(SMALL)
    assert found["slurm.conf"].count("NodeName=") == 1
    assert "SlurmctldHost=edge" in found["slurm.conf"]
    assert "DbdHost=edge" in found["slurmdbd.conf"]


def test_a_controller_and_a_database_of_their_own_are_named_where_they_are() -> None:
    hosts = (
        Host("login", 10, ("edge",)), Host("ctl", 11, ("slurmctld",)), Host("db", 12, ("slurmdbd",)),
        Host("n1", 13, ("slurmd",)), Host("n2", 14, ("slurmd",)),
    )  # fmt: skip
    found = slurm.settings(Layout(site=hosts, cluster=DEFAULT.cluster))
    conf = found["slurm.conf"].splitlines()
    assert {"SlurmctldHost=ctl", "AccountingStorageHost=db"} <= set(conf)
    assert any(line.startswith("PartitionName=main Nodes=n1,n2 ") for line in conf)
    assert "DbdHost=db" in found["slurmdbd.conf"]
    assert not any("{" in line for text in found.values() for line in text.splitlines() if not line.startswith("#"))


def test_settings_of_another_tree_are_told_by_name(bed: Bed) -> None:
    folder = site.settings(bed)
    folder.mkdir()
    bed.paths.pki.mkdir()
    (bed.paths.pki / "ca.crt").write_text("ca")
    texts = {"ca.crt": "ca", "authorized_keys": "k", "munge.key": "m", **slurm.settings(bed.layout)}
    for name, text in texts.items():
        (folder / name).write_text(text)
    assert "7 files" in site.settings_health(bed)
    (folder / "gres.conf").write_text("# another\n")
    with pytest.raises(UnhealthyError, match=r"this tree has another gres\.conf"):
        site.settings_health(bed)


class Site:
    """Docker as far as Slurm's health checks use it: what each command prints, or the failure it ends with."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers

    def exec(self, container: str, command: list[str], timeout: float = 120) -> str:
        for word, answer in self.answers.items():
            if word in command:
                return answer
        raise CommandError(command, 1, "no such answer")


def with_site(bed: Bed, monkeypatch: pytest.MonkeyPatch, **answers: str) -> Bed:
    monkeypatch.setattr(Bed, "docker", Site(**answers))
    return bed


def test_slurm_is_well_when_every_node_takes_jobs(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    up = "Slurmctld(primary) at edge is UP"
    words = slurm.health(with_site(bed, monkeypatch, scontrol=up, sinfo="edge mixed\nc1 completing\n"))
    assert words == "slurmctld is up, edge is mixed, c1 is completing"
    for nodes, complaint in (
        ("edge idle\nc1 down*\n", "'c1': 'down\\*'"),
        ("edge idle\n", "'edge': 'idle'"),
        ("", "none"),
    ):
        with pytest.raises(UnhealthyError, match=complaint):
            slurm.health(with_site(bed, monkeypatch, scontrol=up, sinfo=nodes))


def test_accounting_says_what_it_does_not_know(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"qos": "normal\nurgent\n", "account": "root\ninterlink\n"}
    assert "interlink" in slurm.accounting_health(
        with_site(bed, monkeypatch, user="root\ninterlink\nuser\nother", **known)
    )
    with pytest.raises(UnhealthyError, match="does not know user, other"):
        slurm.accounting_health(with_site(bed, monkeypatch, user="root\ninterlink\n", **known))
