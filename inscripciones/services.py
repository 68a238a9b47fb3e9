"""Deciding enrolments: by the rules as they arrive, or by a person in the review.

Every function here changes rows and queues events (outbox) in one transaction, so both happen or neither.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from inscripciones import credenciales, envios, formato, reglas, tasks
from inscripciones.events import CorreoCorregido, InscripcionAprobada, InscripcionRechazada, InscripcionRecibida
from inscripciones.models import Comprobante, Decision, Envio, Inscripcion, Maestro, Usuario
from kafka_bridge import outbox
from kafka_bridge.events import NAMESPACE

Estado = Inscripcion.Estado
ACCION: Final = {Estado.APROBADA: "Aprobada", Estado.RECHAZADA: "Rechazada"}


@dataclass(frozen=True)
class Resolucion:
    """What became of the enrolments that a person chose: `resueltas`, and why each of the others was left as it was."""

    resueltas: list[Inscripcion]
    omitidas: list[tuple[Inscripcion, str]]


# As they arrive


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
        buzon=formato.buzon(form.email),
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
        conocido.comprobantes.add(formato.clave_de_comprobante(fila.comprobante_pago))
    return fila


def _la_misma(form: InscripcionRecibida, conocido: reglas.Conocido) -> Inscripcion | None:
    """The living enrolment that this form says again, or pays for while it is pending: no reason to alarm anyone."""
    viva = conocido.por_rut.get(form.rut)
    if not viva or viva != conocido.por_email.get(form.email) or not formato.mismo_nombre(form.nombre, viva.nombre):
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
    buzones = {formato.buzon(form.email) for form in forms}
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


def _reclamar(filas: Iterable[Inscripcion]) -> None:
    """Their receipts are used from now on, by these or by who came first."""
    comprobantes = [
        Comprobante(codigo=_clave_del_pago(fila), inscripcion=fila.unida_a or fila) for fila in filas if fila.paid
    ]
    Comprobante.objects.bulk_create(comprobantes, ignore_conflicts=True)


def _clave_del_pago(form: InscripcionRecibida | Inscripcion) -> str:
    return formato.clave_de_comprobante(form.comprobante_pago)


# As Kafka tells it


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


# By a person


@transaction.atomic
def aprobar(ids: Collection[UUID], *, por: Usuario, motivo: str = "", ahora: datetime) -> Resolucion:
    """Approves what is still pending and whose RUT and e-mail nobody else holds; the rest is left, with why.

    `motivo` is for the history only.
    """
    return _resolver(ids, Estado.APROBADA, por=por, motivo=motivo, ahora=ahora)


@transaction.atomic
def rechazar(ids: Collection[UUID], *, por: Usuario, motivo: str, ahora: datetime) -> Resolucion:
    """Rejects what is still pending; `motivo` is what the applicant reads. Raises ValueError without one."""
    if not motivo.strip():
        raise ValueError("Un rechazo lleva su motivo: es lo que lee quien postula.")
    return _resolver(ids, Estado.RECHAZADA, por=por, motivo=motivo.strip(), ahora=ahora)


def _resolver(
    ids: Collection[UUID], estado: Estado, *, por: Usuario | None, motivo: str, ahora: datetime
) -> Resolucion:
    """Locks the rows, in the order of their ids, so that of two reviewers the second finds them resolved.

    Their identities first, as `registrar` does: the two never wait for each other in a ring.
    """
    _lock_identities(clave for fila in Inscripcion.objects.filter(pk__in=ids) for clave in _claves(fila))
    filas = list(Inscripcion.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    resolucion = _partition(filas, estado)
    for fila in resolucion.resueltas:
        fila.estado, fila.resuelta_por, fila.resuelta_en = estado, por, ahora
        fila.motivo = motivo if estado == Estado.RECHAZADA else ""  # that of an approval is the history's
    Inscripcion.objects.bulk_update(resolucion.resueltas, ["estado", "motivo", "resuelta_por", "resuelta_en"])
    if por:
        _anotar(resolucion.resueltas, estado, por, motivo)
    if estado == Estado.APROBADA:
        _reclamar(resolucion.resueltas)
        _admitir(resolucion.resueltas)
    elif resolucion.resueltas:
        outbox.add(*map(_rechazada, resolucion.resueltas))
        _deber([_envio_de_rechazo(fila) for fila in resolucion.resueltas])
    return resolucion


def _partition(filas: list[Inscripcion], estado: Estado) -> Resolucion:
    """Which of the locked rows may go to `estado`."""
    resolucion = Resolucion([], [])
    ocupadas = _ocupadas(filas) if estado == Estado.APROBADA else set()
    for fila in filas:
        if fila.estado not in Inscripcion.PENDIENTES:
            resolucion.omitidas.append((fila, f"ya está {fila.get_estado_display()}"))
        elif {fila.rut, fila.email} & ocupadas and fila.estado == Estado.REPETIDA:
            resolucion.omitidas.append((fila, "su RUT o su correo es de otra inscripción, pendiente o aprobada"))
        else:
            resolucion.resueltas.append(fila)
            ocupadas |= {fila.rut, fila.email} if estado == Estado.APROBADA else set()
    return resolucion


def _ocupadas(filas: list[Inscripcion]) -> set[str]:
    """The RUTs and e-mails of repeated enrolments that a living one holds."""
    repetidas = [fila for fila in filas if fila.estado == Estado.REPETIDA]
    de_ellas = Q(rut__in=[fila.rut for fila in repetidas]) | Q(email__in=[fila.email for fila in repetidas])
    vivas = (
        Inscripcion.objects.filter(de_ellas, estado__in=Inscripcion.VIVAS) if repetidas else Inscripcion.objects.none()
    )
    return {valor for par in vivas.values_list("rut", "email") for valor in par}


def _anotar(filas: list[Inscripcion], estado: Estado, por: Usuario, motivo: str) -> None:
    """The history of who decided what, where the admin shows it."""
    texto = f"{ACCION[estado]}. {motivo}".strip()
    LogEntry.objects.log_actions(por.pk, filas, CHANGE, texto)


@transaction.atomic
def corregir_correo(maestro_id: UUID, correo: str, *, ahora: datetime) -> None:
    """Where the address was mistyped: the token that a stranger may have is void, and credentials go to the right one.

    Raises ValueError, in Spanish, where that address is another's.
    """
    correo = formato.email(correo)
    maestro = Maestro.objects.select_related("inscripcion", "usuario").get(pk=maestro_id)
    _lock_identities([f"email|{correo}", f"buzon|{formato.buzon(correo)}"])
    if Inscripcion.objects.filter(email=correo, estado__in=Inscripcion.VIVAS).exists():
        raise ValueError("Ese correo es de otra inscripción, pendiente o aprobada, o es el que ya tenía.")
    recordar_correos({maestro_id: correo})
    causa = CorreoCorregido.derive_id(maestro_id, ahora)
    outbox.add(CorreoCorregido(id=causa, time=ahora, maestro_id=maestro_id, email=correo))
    envios.reenviar_credenciales(maestro.inscripcion_id, ahora=ahora)
    credenciales.revocar(maestro.usuario)


def recordar_correos(correos: Mapping[UUID, str]) -> None:
    """The address of each of these maestros, also of the enrolment that made them."""
    maestros = list(Maestro.objects.select_related("inscripcion").filter(pk__in=correos))
    for maestro in maestros:
        maestro.email = maestro.inscripcion.email = correos[maestro.pk]
        maestro.inscripcion.buzon = formato.buzon(maestro.email)
    Maestro.objects.bulk_update(maestros, ["email"])
    Inscripcion.objects.bulk_update([maestro.inscripcion for maestro in maestros], ["email", "buzon"])


# What both share


def _admitir(filas: list[Inscripcion]) -> None:
    """A maestro with a user for each approved enrolment, the event, and the credentials e-mail that is owed."""
    if not filas:
        return
    usuarios = Usuario.objects.bulk_create(map(_usuario, filas))
    Maestro.objects.bulk_create(map(_maestro, filas, usuarios))
    outbox.add(*map(_aprobada, filas))
    _deber([_envio(fila, Envio.Tipo.CREDENCIALES) for fila in filas])


def maestro_id(inscripcion_id: UUID) -> UUID:
    """The id of the maestro that an enrolment makes: after a restore it is the same again."""
    return uuid5(NAMESPACE, f"maestro|{inscripcion_id}")


def _usuario(fila: Inscripcion) -> Usuario:
    identidad = maestro_id(fila.pk)
    return Usuario(
        username=str(identidad), first_name=fila.nombre[:150], maestro_id=identidad, password=make_password(None)
    )


def _maestro(fila: Inscripcion, usuario: Usuario) -> Maestro:
    assert fila.resuelta_en is not None and usuario.maestro_id is not None  # noqa: S101, PT018 - narrows the types
    return Maestro(
        id=usuario.maestro_id,
        inscripcion=fila,
        usuario=usuario,
        nombre=fila.nombre,
        rut=fila.rut,
        email=fila.email,
        telefono=fila.telefono,
        comuna=fila.comuna,
        aprobado_en=fila.resuelta_en,
    )


def _aprobada(fila: Inscripcion) -> InscripcionAprobada:
    return InscripcionAprobada.now(
        id=InscripcionAprobada.derive_id(fila.pk),
        inscripcion_id=fila.pk,
        maestro_id=maestro_id(fila.pk),
        nombre=fila.nombre,
        email=fila.email,
        aprobada_en=fila.resuelta_en,
    )


def _rechazada(fila: Inscripcion) -> InscripcionRechazada:
    return InscripcionRechazada.now(
        id=InscripcionRechazada.derive_id(fila.pk),
        inscripcion_id=fila.pk,
        motivo=fila.motivo,
        rechazada_en=fila.resuelta_en,
    )


def _envio(fila: Inscripcion, tipo: Envio.Tipo, *causa: object) -> Envio:
    return Envio(
        id=uuid5(NAMESPACE, f"envio|{tipo}|{'|'.join(map(str, causa)) or fila.pk}"), tipo=tipo, inscripcion=fila
    )


def _envio_de_rechazo(fila: Inscripcion) -> Envio:
    return _envio_del_dia(fila, Envio.Tipo.RECHAZO, fila.resuelta_en)


def _avisos(repetidas: Iterable[Inscripcion], conocido: reglas.Conocido) -> list[Envio]:
    """To the holders of a repeated RUT or e-mail, at their own address, whoever insists."""
    avisos = {}
    for fila in repetidas:
        for titular in filter(None, (conocido.por_rut.get(fila.rut), conocido.por_email.get(fila.email))):
            aviso = _envio_del_dia(titular, Envio.Tipo.AVISO, fila.recibida_en)
            avisos[aviso.pk] = aviso
    return list(avisos.values())


def _envio_del_dia(fila: Inscripcion, tipo: Envio.Tipo, momento: datetime | None) -> Envio:
    """Anyone may have typed that address: its mailbox, whatever the alias, gets at most one such mail a Chilean day."""
    buzon = salted_hmac("inscripciones.buzon", fila.buzon, algorithm="sha256").hexdigest()
    return _envio(fila, tipo, buzon, timezone.localdate(momento))


def _deber(envios: list[Envio]) -> None:
    """Writes down the mails that are owed; one that was owed already is not owed twice."""
    if envios:
        Envio.objects.bulk_create(envios, ignore_conflicts=True)
        transaction.on_commit(lambda: tasks.insinuar([envio.pk for envio in envios]))


def _claves(form: InscripcionRecibida | Inscripcion) -> list[str]:
    claves = [_clave(form.inscripcion_id if isinstance(form, InscripcionRecibida) else form.pk)]
    claves += [f"rut|{form.rut}", f"email|{form.email}", f"buzon|{formato.buzon(form.email)}"]
    return [*claves, f"comprobante|{_clave_del_pago(form)}"] if form.paid else claves


def _clave(inscripcion_id: UUID) -> str:
    return f"inscripcion|{inscripcion_id}"


def _lock_identities(claves: Iterable[str]) -> None:
    """Holds each key until the transaction ends; in order, so that two batches never wait for each other in a ring."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(clave) FROM (SELECT DISTINCT hashtextextended(texto, 0) AS clave"
            " FROM unnest(%s::text[]) AS texto ORDER BY clave) AS ordenadas",
            [list(claves)],
        )
