"""A bed whose folders are scratch and whose network is made up: nothing here talks to Docker."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from tests.testbed.bed import Bed
from tests.testbed.network import Network
from tests.testbed.paths import Paths


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    bed = Bed(Paths(tmp_path / "home"))
    bed.paths.make()
    bed.__dict__["network"] = Network(ipaddress.IPv4Network("192.0.2.0/24"), "192.0.2.1")
    return bed
