"""Every address of the system, from the URL resolver."""

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("get", "post", "put", "patch", "delete")


def all_views() -> Iterator[tuple[str, Any]]:
    """Yield the pattern and the view of each address."""
    yield from _under("/", get_resolver().url_patterns)


def _under(prefix: str, patterns: list[Any]) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _under(prefix + _text(pattern), pattern.url_patterns)
        elif isinstance(pattern, URLPattern):
            yield prefix + _text(pattern), pattern.callback


def _text(pattern: URLPattern | URLResolver) -> str:
    return str(pattern.pattern).lstrip("^").replace("\\Z", "").rstrip("$")


def methods_of(callback: Any) -> list[str]:
    """Return the methods that a DRF view accepts; GET for other views."""
    view = getattr(callback, "cls", None)
    actions = getattr(callback, "actions", None) or [name for name in METHODS if hasattr(view, name)] or ["get"]
    return sorted(name.upper() for name in actions if name in METHODS)
