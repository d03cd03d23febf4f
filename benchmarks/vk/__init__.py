"""The virtual kubelet's speed: pods from creation to their end against a real kube-apiserver and the mock plugin.

Between them stand the real processes of this tree: ``interlink vk``, ``interlink api`` and ``interlink mock``. Pods are
bound as they are created (spec.nodeName), because the scheduler is not what is measured, and have no service account
token, because kube-apiserver takes longer to sign one than for all the rest of a pod.
"""
