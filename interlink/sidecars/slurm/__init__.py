"""The Slurm sidecar: one Slurm job per pod, found again by the pod's UID. ``backend.SlurmBackend`` is its door."""
