"""The real ways to Slurm behind ``driver.SlurmDriver``; the fake one is ``slurm.fake``."""
