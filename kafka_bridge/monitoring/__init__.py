"""The whole system, as people and Prometheus see it."""
