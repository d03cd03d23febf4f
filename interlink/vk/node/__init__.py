"""The node that the pods are bound to: its object, its conditions, its lease."""
