"""Rows for the pages of the admin."""

import pytest

from tests.support.sales import account, enter, sale, void_of
from tests.ventas.admin.pages import SellAndVoid


@pytest.fixture
def sell_and_void(catalogue: None) -> SellAndVoid:
    """Return a function that makes so many maestros sell twice and take one sale back."""

    def add(maestros: int) -> None:
        for n in range(maestros):
            own = account(nombre=f"Maestra {n}")
            enter(sale(own.maestro_id), mistake := sale(own.maestro_id))
            enter(void_of(mistake))

    return add
