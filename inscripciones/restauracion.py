"""TODO."""

from collections.abc import Iterable

from inscripciones.admision import Estado, _clave, _lock_identities
from inscripciones.events import InscripcionAprobada, InscripcionRechazada
from inscripciones.models import Decision, Inscripcion
from inscripciones.revision import _resolver


def recordar(decisiones: Iterable[InscripcionAprobada | InscripcionRechazada]) -> None:
    """Decisions as their events tell them; needs a transaction. Only after a restore are there any that we do not know.

    Those of a pending enrolment are applied (who decided is not in the event); those of a form that was not replayed
    yet wait for it.
    """
    por_id = {decision.inscripcion_id: decision for decision in map(_decision, decisiones)}
    _lock_identities(map(_clave, por_id))
    estados = dict(Inscripcion.objects.filter(pk__in=por_id).values_list("pk", "estado"))
    Decision.objects.bulk_create([por_id[pk] for pk in por_id.keys() - estados.keys()], ignore_conflicts=True)
    for pk in sorted(pk for pk, estado in estados.items() if estado in Inscripcion.PENDIENTES):
        decision = por_id[pk]
        _resolver([pk], Estado(decision.estado), por=None, motivo=decision.motivo, ahora=decision.decidida_en)


def _decision(evento: InscripcionAprobada | InscripcionRechazada) -> Decision:
    if isinstance(evento, InscripcionAprobada):
        return Decision(inscripcion_id=evento.inscripcion_id, estado=Estado.APROBADA, decidida_en=evento.aprobada_en)
    return Decision(
        inscripcion_id=evento.inscripcion_id,
        estado=Estado.RECHAZADA,
        motivo=evento.motivo,
        decidida_en=evento.rechazada_en,
    )
