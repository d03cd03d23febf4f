"""The InterLink API: the edge's one door, between the virtual kubelets and the site's sidecar."""
