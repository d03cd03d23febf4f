"""What pods' volumes show of Kubernetes: gathered for the create request, and kept current while the pod runs."""
