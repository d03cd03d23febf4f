"""The Slurm job of a pod: what it asks for, its script, and what Slurm says of it, as tables and plain words."""
