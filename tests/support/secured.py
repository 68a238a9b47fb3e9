"""A secured system: servers with TLS, and for each process a user with its rights in Kafka."""

from contextlib import AbstractContextManager
from pathlib import Path

from deploy.embedded import Stack
from mamochi_site.local.system import System, running_system


def secured_system(folder: Path, port: int) -> AbstractContextManager[System]:
    """Run the system on a stack in `folder`, which decides forms by itself."""
    stack = Stack(folder, durable=False, secured=True, environ={})
    settings = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": "1000/minute"}
    return running_system(stack, port=port, settings=settings)
