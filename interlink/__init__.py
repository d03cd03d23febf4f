"""InterLink edge: Kubernetes pods as batch jobs on a Slurm site."""
