"""The Slurm sidecar's speed: submits against a bare loop, the cost of a tick, latency of a change, memory."""

#: The partitions of the benchmark: jobs run in the one, and wait in the other, which is down.
RUNNING, WAITING = "bench", "bench-wait"
