"""After a restore of the database: apply the decisions and corrections that come back from Kafka.

In normal operation all of them are stored already, and nothing changes.
"""

from collections.abc import Iterable, Sequence

from django.db.models import Q

from gremio.transactions import transaction_required
from inscripciones import maestros
from inscripciones.events import CorreoCorregido, InscripcionAprobada, InscripcionRechazada
from inscripciones.formulario import locks
from inscripciones.models import Decision, Inscripcion
from inscripciones.tramite import revision
from kafka_bridge.consuming import restore

Estado = Inscripcion.Estado


@transaction_required
def recordar(decisiones: Iterable[InscripcionAprobada | InscripcionRechazada]) -> None:
    """Apply the decisions that the database lacks.

    The decision on a form that was not replayed yet is kept until that form arrives.
    """
    by_id = {decision.inscripcion_id: decision for decision in map(_decision, decisiones)}
    locks.acquire(locks.enrolment_key(pk) for pk in by_id)
    estados = dict(Inscripcion.objects.filter(pk__in=by_id).values_list("pk", "estado"))
    Decision.objects.bulk_create([by_id[pk] for pk in by_id.keys() - estados.keys()], ignore_conflicts=True)
    aplicar(by_id[pk] for pk in sorted(estados) if estados[pk] not in Inscripcion.RESUELTAS)


@transaction_required
def aplicar(decisiones: Iterable[Decision]) -> None:
    """Apply decisions on registered forms that the rules left undecided.

    They have no reviewer, because their events name none. Forms may come back in another order than
    they arrived. Then another form that is only pending holds the RUT or the address, or this form
    was joined to it: the other form becomes the repeated one, and this one is decided.

    One after another, since each decision changes who holds a RUT; there are some after a restore
    only.
    """
    for decision in decisiones:
        fila = Inscripcion.objects.get(pk=decision.inscripcion_id)
        locks.acquire(locks.identity_keys(fila))
        Inscripcion.objects.filter(pk=fila.pk, estado=Estado.UNIDA).update(estado=Estado.REPETIDA, unida_a=None)
        if decision.estado == Estado.APROBADA:
            same = Inscripcion.objects.filter(Q(rut=fila.rut) | Q(email=fila.email)).exclude(pk=fila.pk)
            same.filter(estado=Estado.EN_REVISION).update(estado=Estado.REPETIDA)
        revision.resolver(
            [fila.pk], Estado(decision.estado), por=None, motivo=decision.motivo, ahora=decision.decidida_en
        )


@transaction_required
def recordar_correos(corregidos: Sequence[CorreoCorregido]) -> None:
    """Apply the corrected addresses whose events are older than the last restore.

    The newest one of each maestro wins: after a change of the number of partitions, they arrive in
    another order than they were made.
    """
    replayed = sorted(restore.replayed(corregidos), key=lambda corregido: corregido.time)
    if replayed:
        maestros.cambiar_correos({one.maestro_id: (one.email, one.time) for one in replayed})


def _decision(event: InscripcionAprobada | InscripcionRechazada) -> Decision:
    if isinstance(event, InscripcionAprobada):
        return Decision(inscripcion_id=event.inscripcion_id, estado=Estado.APROBADA, decidida_en=event.aprobada_en)
    return Decision(
        inscripcion_id=event.inscripcion_id,
        estado=Estado.RECHAZADA,
        motivo=event.motivo,
        decidida_en=event.rechazada_en,
    )
