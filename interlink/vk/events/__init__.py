"""Kubernetes events about pods and the node: correlated, bounded, and never in anybody's way."""
