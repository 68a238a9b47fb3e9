"""The whole stack on one machine without Docker and without root: Kafka, PostgreSQL, Valkey and an SMTP sink.

It knows nothing of Django or of the applications: it starts real servers from wheels and Maven Central, says
where they listen, and leaves nothing behind. `Stack` is the way in; `StackError` is the only error it raises
on purpose.
"""

from deploy.embedded.errors import StackError
from deploy.embedded.stack import Stack

__all__ = ["Stack", "StackError"]
