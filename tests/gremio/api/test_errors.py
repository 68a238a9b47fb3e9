"""The errors of the API, in Spanish."""

import pytest
from django.db import OperationalError
from rest_framework.exceptions import ParseError

from gremio.api.errors import exception_handler
from kafka_bridge.exceptions import Unavailable


def test_unreadable_json_is_400_in_spanish() -> None:
    response = exception_handler(ParseError("Expecting value: line 1"), {})
    assert response is not None
    assert response.status_code == 400
    assert response.data["detail"] == "El cuerpo no se puede leer: revisa que sea JSON válido, en UTF-8."


@pytest.mark.parametrize("error", [Unavailable("both are down"), OperationalError("gone")])
def test_a_lost_dependency_is_503_in_spanish(error: Exception) -> None:
    response = exception_handler(error, {})
    assert response is not None
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert response.data["detail"].startswith("El servicio no está disponible en este momento. No se guardó nada")
