"""Look an id up: where its events are in Kafka, who applied them, and which rows they led to."""
