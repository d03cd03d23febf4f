"""Tests of the Slurm sidecar."""
