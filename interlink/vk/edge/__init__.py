"""The virtual kubelet's side of the InterLink protocol."""
