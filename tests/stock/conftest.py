"""What the tests of stock share."""

from uuid import UUID, uuid4

import pytest
from django.apps import apps

from stock import consumers, seed
from tests.stock.guion import aprobada


@pytest.fixture
def catalogo(db: None) -> None:
    """The ingredients; a transactional test before this one emptied the tables."""
    seed.sembrar(apps)


@pytest.fixture
def rosa(catalogo: None) -> UUID:
    """A maestro whose cart is open and full."""
    maestro_id = uuid4()
    consumers.abrir_carros([aprobada(maestro_id)])
    return maestro_id
