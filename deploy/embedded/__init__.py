"""The servers on one machine, without Docker or root: Kafka, PostgreSQL, Valkey and an SMTP sink.

The package is independent of Django and of the applications. It starts real servers from wheels and
from Maven Central, provides their URLs, and leaves no process behind. `Stack` is the entry point;
`StackError` is the only error that is raised on purpose.
"""

from deploy.embedded.errors import StackError
from deploy.embedded.stack import Stack

__all__ = ["Stack", "StackError"]
