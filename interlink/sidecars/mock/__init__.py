"""The mock sidecar: every pod runs at once, in memory, without a site."""
