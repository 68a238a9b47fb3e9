"""Checks of events and topics, of settings for production, and of the topics on the brokers.

`manage.py check` runs those of `events`, `check --deploy` also those of `deployment`. Those of
`brokers` need Kafka, so they have a command of their own: `manage.py check_brokers`.
"""
