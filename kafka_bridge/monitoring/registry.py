"""Functions that apps contribute to the monitoring."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class Registry(Generic[Function]):
    """Functions of one kind; a decorator registers them when Django imports an app's module."""

    def __init__(self) -> None:
        self._functions: tuple[Function, ...] = ()

    def register(self, function: Function) -> Function:
        """Add the function and return it unchanged."""
        self._functions += (function,)
        return function

    def all(self) -> tuple[Function, ...]:
        return self._functions

    @contextmanager
    def override(self, *functions: Function) -> Iterator[None]:
        """Replace the registered functions by these in the block, for tests."""
        before, self._functions = self._functions, functions
        try:
            yield
        finally:
            self._functions = before
