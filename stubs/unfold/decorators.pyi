from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.utils.functional import _StrOrPromise

_F = TypeVar("_F", bound=Callable[..., Any])

def action(
    *,
    description: _StrOrPromise | None = None,
    permissions: Sequence[str] | None = None,
    url_path: str | None = None,
    icon: str | None = None,
) -> Callable[[_F], _F]: ...
def display(
    *,
    description: _StrOrPromise | None = None,
    ordering: str | None = None,
    label: bool | str | Mapping[str, str] | None = None,
) -> Callable[[_F], _F]: ...
