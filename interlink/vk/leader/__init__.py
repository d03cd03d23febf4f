"""Which of several replicas works: one leads and the others stand by, by a Lease in their namespace."""
