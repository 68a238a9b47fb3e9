"""What a secured stack has: an authority, TLS for every server, and Kafka's users.

`authority.py` makes certificates. `kafka.py` has the listeners and users of Kafka. `front.py` puts
TLS before PostgreSQL and Valkey, whose wheels have none; its program is `terminator.py`.
"""
