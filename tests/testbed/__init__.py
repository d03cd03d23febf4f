"""The test bed: a real Kubernetes cluster and a real Slurm site in containers, for the demo, tests and benchmarks."""

from .bed import Bed as Testbed
from .errors import CommandError, TestbedError, UnhealthyError

__all__ = ["CommandError", "Testbed", "TestbedError", "UnhealthyError"]
