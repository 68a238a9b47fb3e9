"""A time without a zone is that of the maestro's comuna."""

from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import time_machine
from rest_framework.test import APIClient

from inscripciones.formulario.zonas import zona_de
from inscripciones.models import Usuario
from tests.ventas.api.requests import VALID, post
from ventas.api import entrada

pytestmark = pytest.mark.django_db
NOON_IN_JUNE = datetime(2027, 6, 15, 15, 0, tzinfo=UTC)  # 12:00 in Punta Arenas, 11:00 in Santiago


@pytest.mark.parametrize(
    ("text", "comuna", "utc"),
    [
        ("2027-06-15T12:00:00", "Punta Arenas", "2027-06-15T15:00:00Z"),
        ("2027-06-15T12:00:00", "Coyhaique", "2027-06-15T15:00:00Z"),
        ("2027-06-15T12:00:00", "Ñuñoa", "2027-06-15T16:00:00Z"),
        ("2027-06-15T12:00:00", "Isla de Pascua", "2027-06-15T18:00:00Z"),
        ("2027-06-15T12:00:00-04:00", "Punta Arenas", "2027-06-15T16:00:00Z"),
        # The hour that is repeated in April: the first one.
        ("2027-04-03T23:30:00", "Ñuñoa", "2027-04-04T02:30:00Z"),
        # The hour that is skipped in September: as a clock shows it that was not changed.
        ("2027-09-05T00:30:00", "Ñuñoa", "2027-09-05T04:30:00Z"),
    ],
)
@pytest.mark.parametrize("cantidad", [1, "1"], ids=["fast_path", "serializer"])
def test_time_without_zone_is_local(text: str, comuna: str, utc: str, cantidad: object) -> None:
    sale = {"producto": "mediano", "cantidad": cantidad, "vendida_en": text}
    zone = ZoneInfo(zona_de(comuna))
    read = entrada.leer(sale, zone)
    assert isinstance(read, entrada.VentaEntrada)
    assert read.vendida_en is not None
    assert read.vendida_en.astimezone(UTC) == datetime.fromisoformat(utc)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("comuna", "status"), [("Punta Arenas", 202), ("Ñuñoa", 400)])
def test_noon_in_punta_arenas_is_not_the_future(
    topics: None, api: APIClient, maestro_id: UUID, comuna: str, status: int
) -> None:
    usuario = Usuario.objects.get(maestro_id=maestro_id)
    usuario.zona = zona_de(comuna)
    api.force_authenticate(usuario)
    sale = {**VALID, "vendida_en": "2027-06-15T12:00:00"}
    with time_machine.travel(NOON_IN_JUNE):
        assert post(api, sale).status_code == status
        assert post(api, [sale]).status_code == status
        assert api.post("/api/v1/ventas/", sale).status_code == status, "the form of the page"
