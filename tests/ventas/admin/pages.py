"""Requests to the pages of the accounts."""

from collections.abc import Callable
from typing import Any

from django.test import Client
from django.urls import reverse

SellAndVoid = Callable[[int], None]  # the fixture `sell_and_void`


def open_list(client: Client, model: str, **parameters: str) -> Any:
    """Open the list of a model."""
    return client.get(reverse(f"admin:ventas_{model}_changelist"), parameters)
