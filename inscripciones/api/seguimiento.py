"""The public state of an enrolment: what the API answers to anyone who has its id."""

from typing import Any
from uuid import UUID

from inscripciones.formulario.ids import lane_of
from inscripciones.models import Inscripcion


def consultar(inscripcion_id: UUID) -> dict[str, Any] | None:
    """Return the public state of an enrolment, or None for an id that was never issued.

    The id verifies itself: a form that no consumer has written yet is `recibida`. An enrolment
    whose RUT or e-mail address is taken looks like any other that waits for a person.
    """
    via = lane_of(inscripcion_id)
    if via is None:
        return None
    fila = Inscripcion.objects.select_related("unida_a").filter(pk=inscripcion_id).first()
    if fila is None:
        unknown = {"recibida_en": None, "resuelta_en": None, "motivo": None}
        return {"id": inscripcion_id, "estado": "recibida", "via": via, **unknown}
    # The forms of one person share the state of the one that they were joined to.
    vigente = fila.unida_a or fila
    repetida = vigente.estado == Inscripcion.Estado.REPETIDA
    return {
        "id": inscripcion_id,
        "estado": Inscripcion.Estado.EN_REVISION if repetida else vigente.estado,
        "via": vigente.via,
        "recibida_en": fila.recibida_en,
        "resuelta_en": vigente.resuelta_en,
        "motivo": vigente.motivo or None,
    }
