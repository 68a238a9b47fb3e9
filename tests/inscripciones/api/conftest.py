"""A client and a maestro for the tests of the API."""

import pytest
from rest_framework.test import APIClient

from inscripciones.models import Usuario
from tests.support.people import make_form, register


@pytest.fixture
def api() -> APIClient:
    return APIClient()


@pytest.fixture
def maestro() -> Usuario:
    [fila] = register(make_form())
    return Usuario.objects.get(maestro__inscripcion=fila)
