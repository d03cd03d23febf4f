"""The virtual kubelet: one Kubernetes node whose pods run as batch jobs behind InterLink."""
