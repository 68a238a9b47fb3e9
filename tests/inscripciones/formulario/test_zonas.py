"""The zone of each comuna, which the user of an approved maestro carries."""

import pytest

from inscripciones.formulario import normalizacion
from inscripciones.formulario.zonas import zona_de
from inscripciones.models import Inscripcion, Usuario
from inscripciones.tramite import revision
from tests.support.people import NOW, make_form, register


def test_each_comuna_has_a_zone() -> None:
    zones = {zona_de(comuna) for comuna in normalizacion.comunas()}
    assert zones == {"America/Santiago", "America/Punta_Arenas", "America/Coyhaique", "Pacific/Easter"}
    assert zona_de("Juan Fernández") == "America/Santiago"
    assert zona_de("Antártica") == "America/Punta_Arenas"


@pytest.mark.django_db
def test_approved_maestro_has_the_zone_of_the_comuna() -> None:
    [enrolment] = register(make_form(comuna="Punta Arenas"))
    revision.resolver([enrolment.pk], Inscripcion.Estado.APROBADA, por=None, motivo="", ahora=NOW)
    assert Usuario.objects.get(maestro__inscripcion=enrolment).zona == "America/Punta_Arenas"
