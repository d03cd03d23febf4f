"""Pods bound to this node: what the API wants, what the edge says, and the one step that brings them together."""
