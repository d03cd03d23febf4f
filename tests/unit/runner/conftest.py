"""What the tests of the pod runner have: a site of their own, and an apptainer that runs a registry's images there."""

from pathlib import Path

import pytest

from tests.unit.runner.apptainer import Apptainer
from tests.unit.runner.registry import Registry
from tests.unit.runner.running import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def apptainer(site: Site, tmp_path: Path, registry: Registry) -> Apptainer:
    return Apptainer(site, tmp_path, registry.address)
