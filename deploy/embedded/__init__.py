"""The servers on one machine, without Docker or root: Kafka, PostgreSQL, Valkey and an SMTP sink.

The package is independent of Django and of the applications. It starts real servers from wheels and
from Maven Central, provides their URLs, and leaves no process behind. `Stack` is the entry point;
`StackError` is the only error that is raised on purpose.

`kafka.py`, `postgres.py`, `valkey.py` and `mail.py` are the servers. `smtp.py` is the program that
`mail.py` runs, and `mailbox.py` reads what it received. `jars.py` downloads Kafka.
"""

from typing import TYPE_CHECKING, Any

from deploy.embedded.errors import StackError

if TYPE_CHECKING:
    from deploy.embedded.stack import Stack

__all__ = ["Stack", "StackError"]


def __getattr__(name: str) -> Any:
    """Import `Stack` when it is asked for: the SMTP sink needs none of the servers' clients."""
    if name != "Stack":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from deploy.embedded.stack import Stack

    return Stack
