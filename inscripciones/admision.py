"""Deciding enrolments: by the rules as they arrive, or by a person in the review.

Every function here changes rows and queues events (outbox) in one transaction, so both happen or neither.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID, uuid5

from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from inscripciones import normalizacion, reglas, tasks
from inscripciones.events import InscripcionAprobada, InscripcionRechazada, InscripcionRecibida
from inscripciones.models import Comprobante, Envio, Inscripcion, Maestro, Usuario
from kafka_bridge import conf
from kafka_bridge.publishing import outbox

Estado = Inscripcion.Estado


def _reclamar(filas: Iterable[Inscripcion]) -> None:
    """Their receipts are used from now on, by these or by who came first."""
    comprobantes = [
        Comprobante(codigo=_clave_del_pago(fila), inscripcion=fila.unida_a or fila) for fila in filas if fila.paid
    ]
    Comprobante.objects.bulk_create(comprobantes, ignore_conflicts=True)


def _clave_del_pago(form: InscripcionRecibida | Inscripcion) -> str:
    return normalizacion.clave_de_comprobante(form.comprobante_pago)


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
    return uuid5(conf.NAMESPACE, f"maestro|{inscripcion_id}")


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
        id=uuid5(conf.NAMESPACE, f"envio|{tipo}|{'|'.join(map(str, causa)) or fila.pk}"), tipo=tipo, inscripcion=fila
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
    claves += [f"rut|{form.rut}", f"email|{form.email}", f"buzon|{normalizacion.buzon(form.email)}"]
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
