"""What the tests of the pod runner have: a site of their own, and an apptainer that runs a registry's images there."""

import os
from pathlib import Path

import pytest

from tests.unit.runner.apptainer import Apptainer
from tests.unit.runner.registry import Registry
from tests.unit.runner.running import Site

# The runner forks, as a process without gRPC may. gRPC's own fork handlers abort such a child now and then where the
# process has a server of gRPC's, which they do not support (doc/fork_support.md of gRPC). Read before the first one.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def apptainer(site: Site, tmp_path: Path, registry: Registry) -> Apptainer:
    return Apptainer(site, tmp_path, registry.address)
