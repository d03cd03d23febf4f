"""`make demo`: the whole chain on this machine, from the test bed to a pod that ran as a Slurm job.

Brings the project itself up as further parts of the test bed's graph (virtual environment, wheel, image, playbook), so
that whatever can go on at once does. Also what the end-to-end tests stand on.
"""
