"""The pure core: pod to plan, plan to script, Slurm job and report to container statuses. No I/O."""
