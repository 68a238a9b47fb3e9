"""Requests to Kafka's brokers: topics, watermarks, single messages and the cluster's state."""
