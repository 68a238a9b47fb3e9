"""The errors of the API, in Spanish."""

import pytest
from django.db import DatabaseError, OperationalError, ProgrammingError, connection, transaction
from django.test import RequestFactory
from rest_framework.exceptions import ParseError

from gremio.api.errors import exception_handler
from kafka_bridge.exceptions import Unavailable
from mamochi_site.web.views import server_error

REMOUNTED = "DO $$ BEGIN RAISE 'could not extend file: Read-only file system' USING ERRCODE = '42501'; END $$"


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


@pytest.mark.django_db
@pytest.mark.parametrize("trouble", ["SET LOCAL transaction_read_only = on; CREATE TABLE t ()", REMOUNTED])
def test_a_server_in_trouble_is_503(trouble: str) -> None:
    """A standby that was not promoted, and a file system that was remounted read-only."""
    answers = []
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(trouble)
    except DatabaseError as error:
        answers = [exception_handler(error, {}), server_error(RequestFactory().get("/"))]
    assert [answer and answer.status_code for answer in answers] == [503, 503]


def test_a_mistake_in_a_query_is_no_outage() -> None:
    assert exception_handler(ProgrammingError("no such column"), {}) is None
