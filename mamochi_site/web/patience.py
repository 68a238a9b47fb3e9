"""How long a request waits for a server that is silent; one that is slow may take longer.

A request may wait three times before its 503: for a statement, for Kafka (`DEADLINE_MS` of
kafka_bridge/publishing/producer.py), and for a new connection to the database (`connect_timeout` in
the settings). Together that is less than the 10 s that clients are promised (docs/reliability.md).
Only a request that first waits for one of Django's threads, and then three times, waits longer.
"""

from typing import Final

THREAD_SECONDS: Final = 3.0  # for one of Django's threads
DATABASE_SECONDS: Final = 3.5  # per statement
