"""The InterLink protocol's messages: types and their JSON, no I/O."""
