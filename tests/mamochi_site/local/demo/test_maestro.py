"""The simulated maestro."""

from collections import Counter

from mamochi_site.local.demo.maestro import SALES_PER_CART, TEN_SALES
from ventas.seed import PRODUCTOS


def test_ten_sales_empty_the_cart() -> None:
    """They take as much as ten `mediano`, the load of a new cart."""
    taken: Counter[str] = Counter()
    for product in TEN_SALES:
        taken.update(PRODUCTOS[product][2])
    assert len(TEN_SALES) == SALES_PER_CART
    assert taken == {insumo: 10 * each for insumo, each in PRODUCTOS["mediano"][2].items()}
