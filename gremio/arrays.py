"""PostgreSQL's text form of an array: a parameter in this form costs half of a Python list."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID


def array_of(values: Iterable[UUID | date]) -> str:
    """Return ids or days for a parameter that the statement casts, as in `%s::uuid[]`."""
    return f"{{{','.join(map(str, values))}}}"
