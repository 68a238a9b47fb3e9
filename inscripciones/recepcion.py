"""TODO."""

from collections.abc import Collection, Iterable
from datetime import datetime

from django.conf import settings
from django.db.models import Q

from inscripciones import normalizacion, reglas
from inscripciones.admision import (
    Estado,
    _admitir,
    _avisos,
    _clave_del_pago,
    _claves,
    _deber,
    _envio_de_rechazo,
    _lock_identities,
    _rechazada,
    _reclamar,
)
from inscripciones.events import InscripcionRecibida
from inscripciones.models import Comprobante, Decision, Inscripcion
from inscripciones.revision import ACCION
from kafka_bridge.publishing import outbox


def registrar(formularios: Iterable[InscripcionRecibida], *, ahora: datetime) -> list[Inscripcion]:
    """Writes and decides the forms that are not registered yet; needs a transaction. Returns their rows.

    Forms that share a RUT, an e-mail or a receipt wait for each other here, whichever consumer or lane has them.
    """
    por_id = {form.inscripcion_id: form for form in reversed(list(formularios))}  # of a repeated one, the first
    _lock_identities(clave for form in por_id.values() for clave in _claves(form))
    vistas = set(Inscripcion.objects.filter(pk__in=por_id).values_list("pk", flat=True))
    nuevos = [form for form in reversed(por_id.values()) if form.inscripcion_id not in vistas]
    if not nuevos:
        return []
    conocido = _conocido(nuevos)
    previas = Decision.objects.in_bulk([form.inscripcion_id for form in nuevos])
    filas = [_decidida(form, conocido, previas.get(form.inscripcion_id), ahora) for form in nuevos]
    Inscripcion.objects.bulk_create(filas)
    _consecuencias(filas, conocido)
    return filas


def _decidida(
    form: InscripcionRecibida, conocido: reglas.Conocido, previa: Decision | None, ahora: datetime
) -> Inscripcion:
    """The form as a row with its decision; what it claims becomes known to the forms behind it."""
    veredictos = reglas.evaluar(form, conocido)
    estado, motivo = reglas.decidir(veredictos, automatica=settings.REVISION_AUTOMATICA)
    if previa and estado != Estado.REPETIDA:
        estado, motivo, ahora = Estado(previa.estado), previa.motivo, previa.decidida_en
    viva = _la_misma(form, conocido) if estado == Estado.REPETIDA else None
    fila = Inscripcion(
        id=form.inscripcion_id,
        nombre=form.nombre,
        rut=form.rut,
        email=form.email,
        buzon=normalizacion.buzon(form.email),
        telefono=form.telefono,
        comuna=form.comuna,
        paid=form.paid,
        comprobante_pago=form.comprobante_pago,
        estado=Estado.UNIDA if viva else estado,
        unida_a=viva,
        motivo=motivo,
        veredictos=[dict(vars(veredicto)) for veredicto in veredictos],
        recibida_en=form.time,
        resuelta_en=ahora if estado in ACCION else None,
    )
    if viva and fila.paid and not viva.paid:
        _pasar_a_paid(viva, fila)
    elif fila.estado in Inscripcion.VIVAS:
        conocido.conocer(fila)
    if _reclama(fila):
        conocido.comprobantes.add(normalizacion.clave_de_comprobante(fila.comprobante_pago))
    return fila


def _la_misma(form: InscripcionRecibida, conocido: reglas.Conocido) -> Inscripcion | None:
    """The living enrolment that this form says again, or pays for while it is pending: no reason to alarm anyone."""
    viva = conocido.por_rut.get(form.rut)
    if (
        not viva
        or viva != conocido.por_email.get(form.email)
        or not normalizacion.mismo_nombre(form.nombre, viva.nombre)
    ):
        return None
    if form.paid and not viva.paid:
        return viva if viva.estado == Estado.EN_REVISION else None
    otro_pago = form.paid and _clave_del_pago(form) != _clave_del_pago(viva)
    return viva if (form.telefono, form.comuna) == (viva.telefono, viva.comuna) and not otro_pago else None


def _pasar_a_paid(viva: Inscripcion, fila: Inscripcion) -> None:
    """The pending enrolment goes on as Paid, with the receipt and what the rules said of it."""
    viva.paid, viva.comprobante_pago = True, fila.comprobante_pago
    del_pago = {v["regla"]: v for v in fila.veredictos if v["regla"] == reglas.comprobante_sin_uso.__name__}
    viva.veredictos = [del_pago.get(v["regla"], v) for v in viva.veredictos]


def _reclama(fila: Inscripcion) -> bool:
    """Whether the enrolment claims its receipt: what the rules refused does not, what a person will refuse does."""
    rehusada = {reglas.Resultado.INFRINGE, reglas.Resultado.REPITE} & {v["resultado"] for v in fila.veredictos}
    return fila.paid and (fila.estado == Estado.UNIDA or not rehusada)


def _conocido(forms: Collection[InscripcionRecibida]) -> reglas.Conocido:
    """What the database knows of these people and receipts, in three queries. Living enrolments are held: one may change."""
    ruts = {form.rut for form in forms}
    buzones = {normalizacion.buzon(form.email) for form in forms}
    de_ellos = Q(rut__in=ruts) | Q(email__in={form.email for form in forms}) | Q(buzon__in=buzones)
    rechazos = Inscripcion.objects.filter(rut__in=ruts, estado=Estado.RECHAZADA, resuelta_por__isnull=False)
    usados = Comprobante.objects.filter(pk__in={_clave_del_pago(form) for form in forms if form.paid})
    conocido = reglas.Conocido(
        comprobantes=set(usados.values_list("pk", flat=True)), rechazados=set(rechazos.values_list("rut", flat=True))
    )
    vivas = Inscripcion.objects.select_for_update(no_key=True).filter(de_ellos, estado__in=Inscripcion.VIVAS)
    for viva in vivas.order_by("pk"):
        conocido.conocer(viva)
    return conocido


def _consecuencias(filas: list[Inscripcion], conocido: reglas.Conocido) -> None:
    """What follows from decisions made by the rules: receipts, maestros, events, e-mails."""
    pagadas = [fila.unida_a for fila in filas if fila.unida_a and fila.paid]
    Inscripcion.objects.bulk_update(pagadas, ["paid", "comprobante_pago", "veredictos"])
    _reclamar([*filter(_reclama, filas)])
    _admitir([fila for fila in filas if fila.estado == Estado.APROBADA])
    rechazadas = [fila for fila in filas if fila.estado == Estado.RECHAZADA]
    outbox.add(*map(_rechazada, rechazadas)) if rechazadas else None
    repetidas = [fila for fila in filas if fila.estado == Estado.REPETIDA]
    _deber([*map(_envio_de_rechazo, rechazadas), *_avisos(repetidas, conocido)])
