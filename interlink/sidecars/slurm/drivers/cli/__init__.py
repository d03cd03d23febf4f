"""Slurm by its own commands, on this host or a login node: one small class for each, with its argv and its parser.

The classes are pure: they say what to run and read what came of it; ``driver`` runs it.
"""
