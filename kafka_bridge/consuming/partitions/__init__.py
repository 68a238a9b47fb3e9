"""The partitions of a lane: which it holds, where each continues, which topics cannot be read.

`held` keeps them for the runner. `positions` claims their offsets in the database, `topic_watch`
notices recreated topics, and `obstacles` keeps what Kafka refuses.
"""
