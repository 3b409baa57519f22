"""One process a cluster that asks MLflow for what is promoted, and tells all replicas."""
