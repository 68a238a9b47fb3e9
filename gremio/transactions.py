"""Transactions said in code: which function opens one, and which one needs its caller's.

A function that opens a transaction uses `django.db.transaction.atomic`. A function that changes
rows as a part of its caller's work uses `@transaction_required`: called without a transaction it
would leave half of that work behind when the other half fails.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import connection

P = ParamSpec("P")
R = TypeVar("R")


class TransactionRequired(RuntimeError):
    """A function was called outside of a transaction: call it inside `transaction.atomic()`."""


def transaction_required(function: Callable[P, R]) -> Callable[P, R]:
    """Make calls of the function raise TransactionRequired unless a transaction is open.

    A test's own transaction counts: the function sees the same connection.
    """

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not connection.in_atomic_block:
            name = f"{function.__module__}.{function.__qualname__}"
            raise TransactionRequired(f"{name} must run inside transaction.atomic()")
        return function(*args, **kwargs)

    return checked
