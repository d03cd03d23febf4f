"""The pod runner: the pod's kubelet inside the Slurm allocation. The Slurm sidecar makes one file (a zipapp) of it.

Python 3.6's standard library only, because that is what compute nodes have, and nothing else of this package, because
nothing is installed there. interlink/core/plan.py is the schema of the plan that it reads and of its reports.

On the host (runtime ``none``) there is no mount namespace: a volume with the mountPath /etc/app is found at
$INTERLINK_MOUNTS/etc/app, and $INTERLINK_MOUNTS is the working directory where the pod names none.
"""
