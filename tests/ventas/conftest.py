"""The topics, the catalogue, and a maestro who is logged in."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from inscripciones.models import Usuario
from tests.support import sales
from ventas.catalogo import memoria


@pytest.fixture(scope="session")
def topics(kafka: str) -> None:
    sales.prepare_topics()


@pytest.fixture
def catalogue(db: None) -> Iterator[None]:
    """Read the catalogue again; no test sees prices that another test has edited."""
    memoria.olvidar()
    yield
    memoria.olvidar()


@pytest.fixture
def maestro_id() -> UUID:
    return uuid4()


@pytest.fixture
def api(catalogue: None, maestro_id: UUID) -> APIClient:
    """Return an HTTP client that is logged in as the maestro."""
    client = APIClient()
    client.force_authenticate(Usuario.objects.create_user(username=str(maestro_id), maestro_id=maestro_id))
    return client
