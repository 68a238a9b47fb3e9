"""Clients of the API with a token or a session."""

from typing import Any

from django.test import Client
from rest_framework.test import APIClient


def client_with(token: str) -> APIClient:
    """Return a client that sends the token."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def log_in(client: Client, token: str, **data: str) -> Any:
    """Paste the token into the login page; return the answer."""
    return client.post("/api/v1/entrar/", {"token": token, **data})
