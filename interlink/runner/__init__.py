"""The pod runner: the pod's kubelet inside the Slurm allocation. The Slurm sidecar makes one file (a zipapp) of it.

Python 3.6's standard library only, because that is what compute nodes have, and nothing else of this package, because
nothing is installed there. interlink/core/plan.py is the schema of the plan that it reads and of its reports.

A job's locale is anything, mostly C, and Python 3.6 takes it for the encoding of all names and arguments. So all text
of the plan is held as os.fsdecode makes it of UTF-8 bytes (``files.read_json``): every path, argument and variable that
goes to the system is the plan's own bytes again, and ``files.as_utf8`` makes UTF-8 of what is written.

On the host (runtime ``none``) there is no mount namespace: a volume with the mountPath /etc/app is found at
$INTERLINK_MOUNTS/etc/app, and $INTERLINK_MOUNTS is the working directory where the pod names none.
"""
