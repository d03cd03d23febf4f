"""Which driver serves a site whose jobs may be other users': never pyslurm, and said at the start."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlink.config import Config, ConfigError
from interlink.config.entries import FlavorConfig, NamespaceConfig
from interlink.sidecars.slurm.drivers.choice import choose_driver, site_hosts
from interlink.sidecars.slurm.drivers.cli.driver import CliDriver
from interlink.sidecars.slurm.drivers.pair import DriverPair
from interlink.sidecars.slurm.transport.hosts import SiteHosts

OTHER = os.getuid() + 1


@pytest.fixture
def hosts() -> Iterator[SiteHosts]:
    found = site_hosts(Config())
    yield found
    found.close()


@pytest.fixture(autouse=True)
def with_pyslurm(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(__file__).parents[1] / "fake_pyslurm"
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{Path(__file__).parents[5]}")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"namespaces": {"physics": NamespaceConfig(user="alice")}}, "Namespaces.physics.User: alice"),
        ({"flavors": {"big": FlavorConfig(uid=OTHER)}}, f"Flavors.big.UID: {OTHER}"),
        ({"job_user": "alice"}, "JobUser or DefaultUID: alice"),
        ({"default_uid": OTHER}, f"JobUser or DefaultUID: {OTHER}"),
        ({"run_as_user_ranges": [f"{OTHER}-{OTHER + 9}"]}, f"RunAsUserRanges: {OTHER}-{OTHER + 9}"),
    ],
)
def test_pyslurm_with_other_users_is_a_fault_of_the_configuration_and_auto_takes_the_commands(
    hosts: SiteHosts, caplog: pytest.LogCaptureFixture, config: dict[str, object], said: str
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(ConfigError, match=f"own user only, and the configuration has {said}; set it to cli"):
        choose_driver(Config(slurm_driver="pyslurm", **config), hosts)  # type: ignore[arg-type]
    assert isinstance(choose_driver(Config(slurm_driver="auto", **config), hosts), CliDriver)  # type: ignore[arg-type]
    assert f"the configuration has {said}" in caplog.text


def test_the_services_own_user_by_name_or_number_is_no_other(hosts: SiteHosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1)  # the name of number 1 is daemon wherever there is one
    own = Config(
        slurm_driver="auto",
        job_user="daemon",
        namespaces={"a": NamespaceConfig(user="1"), "b": NamespaceConfig()},
        run_as_user_ranges=["1"],
    )
    driver = choose_driver(own, hosts)
    assert isinstance(driver, DriverPair)
    driver.close()
