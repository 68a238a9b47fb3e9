"""Requests that several modules of these tests send."""

from typing import Any

from rest_framework.test import APIClient

VENTAS = "/api/v1/ventas/"
RESUMEN = "/api/v1/ventas/resumen/"
VALID = {"producto": "mediano", "cantidad": 1}


def post(api: APIClient, body: Any, **headers: str) -> Any:
    """Post a sale or a list of sales as JSON."""
    return api.post(VENTAS, body, format="json", headers=headers or None)
