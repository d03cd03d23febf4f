"""The kubelet's HTTPS port: what kube-apiserver asks of a node (logs), for those who may ask."""
