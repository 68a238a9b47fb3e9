"""The demo's dashboard."""

from io import StringIO

import pytest
from rich.console import Console

from mamochi_site.local.demo import dashboard
from mamochi_site.local.demo.scene import Pace, Puesto, Scene, Sold
from tests.mamochi_site.local.demo.test_people import five_people


def scene(sold: int) -> Scene:
    """Return a scene in which each maestro has made `sold` sales."""
    puestos = [Puesto(person) for person in five_people()]
    for puesto in puestos:
        puesto.sold = [Sold(str(n), "mediano", 1) for n in range(sold)]
        puesto.stock = [{"insumo": "mote", "cantidad": 0, "capacidad": 1500, "agotado": True}]
    played = Scene(puestos, Pace.real())
    played.say("Rosa vendió un mediano")
    return played


@pytest.mark.parametrize(("width", "height"), [(132, 34), (80, 24), (40, 10)])
def test_dashboard_fits_the_terminal(width: int, height: int) -> None:
    console = Console(width=width, height=height, record=True, file=StringIO())
    console.print(dashboard.draw(scene(sold=3), width, height), height=height)
    lines = console.export_text().splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    if height >= 24:
        assert all(any(puesto.persona.apodo in line for line in lines) for puesto in scene(0).puestos)
