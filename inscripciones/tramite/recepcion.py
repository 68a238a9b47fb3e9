"""Receiving forms, in two steps.

`recibir` runs in the web: it publishes a form as an event. `registrar` runs in the consumer
`aprobacion`: it writes the form as a row and decides it by the rules.
"""

from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from gremio.transactions import transaction_required
from inscripciones.correos import correspondencia
from inscripciones.events import InscripcionRecibida
from inscripciones.formulario import ids, locks, normalizacion, reglas
from inscripciones.formulario.normalizacion import clave_de_comprobante
from inscripciones.formulario.reglas import Conocido, Resultado, Veredicto
from inscripciones.models import Comprobante, Decision, Inscripcion
from inscripciones.tramite import admision, restauracion
from kafka_bridge.consuming import restore
from kafka_bridge.publishing.producer import publish

Estado = Inscripcion.Estado


def recibir(formulario: dict[str, Any], *, dia: date) -> UUID:
    """Publish a normalised form that arrived on `dia` (in Chile); return the enrolment's id.

    Raises Unavailable if neither Kafka nor the outbox takes the event.
    """
    inscripcion_id = ids.issue(formulario, day=dia)
    event_id = InscripcionRecibida.derive_id(inscripcion_id)
    publish(InscripcionRecibida.now(id=event_id, inscripcion_id=inscripcion_id, **formulario))
    return inscripcion_id


@transaction_required
def registrar(formularios: Iterable[InscripcionRecibida], *, ahora: datetime) -> list[Inscripcion]:
    """Write and decide the forms that are not registered yet; return their rows.

    Forms that share a RUT, a mailbox or a receipt wait for each other, also across processes and
    lanes. If a form is in the batch twice, the first one counts.
    """
    by_id: dict[UUID, InscripcionRecibida] = {}
    for form in formularios:
        by_id.setdefault(form.inscripcion_id, form)
    locks.acquire(key for form in by_id.values() for key in locks.identity_keys(form))
    registered = set(Inscripcion.objects.filter(pk__in=by_id).values_list("pk", flat=True))
    nuevos = [form for form in by_id.values() if form.inscripcion_id not in registered]
    if not nuevos:
        return []
    conocido = _known_of(nuevos)
    earlier = Decision.objects.in_bulk([form.inscripcion_id for form in nuevos])
    # As a rule the decision on a replayed form is in Kafka and arrives later, so this is no new one
    # and has the form's time (restore.py).
    momentos = {form.inscripcion_id: form.time for form in restore.replayed(nuevos)}
    filas = [
        _decide(form, conocido, earlier.get(form.inscripcion_id), momentos.get(form.inscripcion_id, ahora))
        for form in nuevos
    ]
    Inscripcion.objects.bulk_create(filas)
    _follow_up(filas, conocido)
    restauracion.aplicar(earlier[fila.pk] for fila in filas if fila.pk in earlier and fila.estado == Estado.REPETIDA)
    return filas


def _known_of(forms: Collection[InscripcionRecibida]) -> Conocido:
    """Return what the rules must know about these people and receipts, in three queries.

    The rows of living enrolments are locked, because a payment in this batch may change them.
    """
    ruts = {form.rut for form in forms}
    buzones = {normalizacion.buzon(form.email) for form in forms}
    theirs = Q(rut__in=ruts) | Q(email__in={form.email for form in forms}) | Q(buzon__in=buzones)
    rejected = Inscripcion.objects.filter(rut__in=ruts, estado=Estado.RECHAZADA, resuelta_por__isnull=False)
    receipts = {clave_de_comprobante(form.comprobante_pago) for form in forms if form.paid}
    used = Comprobante.objects.filter(pk__in=receipts)
    conocido = Conocido(
        comprobantes=set(used.values_list("pk", flat=True)), rechazados=set(rejected.values_list("rut", flat=True))
    )
    vivas = Inscripcion.objects.select_for_update(no_key=True).filter(theirs, estado__in=Inscripcion.VIVAS)
    for viva in vivas.order_by("pk"):
        conocido.conocer(viva)
    return conocido


def _decide(form: InscripcionRecibida, conocido: Conocido, earlier: Decision | None, ahora: datetime) -> Inscripcion:
    """Return the form as a decided row; add to `conocido` what the next forms must respect.

    `earlier`: the decision from before the database was restored, if there was one.
    """
    veredictos = reglas.evaluar(form, conocido)
    estado, motivo = reglas.decidir(veredictos, automatica=settings.REVISION_AUTOMATICA)
    if earlier and estado != Estado.REPETIDA:
        estado, motivo, ahora = Estado(earlier.estado), earlier.motivo, earlier.decidida_en
    viva = _same_enrolment(form, conocido) if estado == Estado.REPETIDA and not earlier else None
    fila = _row_of(form, veredictos)
    fila.estado, fila.unida_a, fila.motivo = Estado.UNIDA if viva else estado, viva, motivo
    fila.resuelta_en = ahora if estado in Inscripcion.RESUELTAS else None
    if viva and fila.paid and not viva.paid:
        _turn_paid(viva, fila)
    elif fila.estado in Inscripcion.VIVAS:
        conocido.conocer(fila)
    if _uses_receipt(fila):
        conocido.comprobantes.add(clave_de_comprobante(fila.comprobante_pago))
    return fila


def _row_of(form: InscripcionRecibida, veredictos: list[Veredicto]) -> Inscripcion:
    """Return the form as a row that is not decided yet."""
    return Inscripcion(
        id=form.inscripcion_id,
        nombre=form.nombre,
        rut=form.rut,
        email=form.email,
        buzon=normalizacion.buzon(form.email),
        telefono=form.telefono,
        comuna=form.comuna,
        paid=form.paid,
        comprobante_pago=form.comprobante_pago,
        veredictos=[dict(vars(veredicto)) for veredicto in veredictos],
        recibida_en=form.time,
    )


def _same_enrolment(form: InscripcionRecibida, conocido: Conocido) -> Inscripcion | None:
    """Return the living enrolment that this form repeats, or pays for while it is pending.

    RUT, e-mail address and name must be the same: then the form is by the same person, who needs no
    notice that somebody used their data.
    """
    viva = conocido.por_rut.get(form.rut)
    if viva is None or viva != conocido.por_email.get(form.email):
        return None
    if not normalizacion.mismo_nombre(form.nombre, viva.nombre):
        return None
    if form.paid and not viva.paid:
        return viva if viva.estado == Estado.EN_REVISION else None
    same_receipt = clave_de_comprobante(form.comprobante_pago) == clave_de_comprobante(viva.comprobante_pago)
    same_contact = (form.telefono, form.comuna) == (viva.telefono, viva.comuna)
    return viva if same_contact and (same_receipt or not form.paid) else None


def _turn_paid(viva: Inscripcion, pago: Inscripcion) -> None:
    """Make the pending enrolment a paid one, with the receipt of `pago` and the verdict on it."""
    viva.paid, viva.comprobante_pago = True, pago.comprobante_pago
    of_receipt = {v["regla"]: v for v in pago.veredictos if v["regla"] == reglas.comprobante_sin_uso.__name__}
    viva.veredictos = [of_receipt.get(v["regla"], v) for v in viva.veredictos]


def _uses_receipt(fila: Inscripcion) -> bool:
    """Return whether this enrolment uses up its payment receipt.

    It does unless the rules rejected the form or found its identity taken. A later rejection by a
    reviewer does not free the receipt.
    """
    resultados = {veredicto["resultado"] for veredicto in fila.veredictos}
    refused = bool(resultados & {Resultado.INFRINGE, Resultado.REPITE})
    return fila.paid and (fila.estado == Estado.UNIDA or not refused)


def _follow_up(filas: list[Inscripcion], conocido: Conocido) -> None:
    """Write what the rules' decisions lead to: receipts, maestros, events, e-mails."""
    pagadas = [fila.unida_a for fila in filas if fila.unida_a and fila.paid]
    Inscripcion.objects.bulk_update(pagadas, ["paid", "comprobante_pago", "veredictos"])
    admision.usar_comprobantes([fila for fila in filas if _uses_receipt(fila)])
    admision.admitir([fila for fila in filas if fila.estado == Estado.APROBADA])
    rechazadas = [fila for fila in filas if fila.estado == Estado.RECHAZADA]
    admision.publicar_rechazos(rechazadas)
    repetidas = [fila for fila in filas if fila.estado == Estado.REPETIDA]
    rechazos = [correspondencia.rechazo(fila) for fila in rechazadas]
    correspondencia.encargar([*rechazos, *correspondencia.avisos(repetidas, conocido)])
