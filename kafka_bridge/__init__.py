"""An event engine for Django and Kafka, for any project (see README.md)."""
