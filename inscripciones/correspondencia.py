"""The e-mails that decisions lead to: credentials, rejections, notices of repeated data."""

from collections.abc import Iterable
from datetime import datetime
from uuid import uuid5

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from gremio.transactions import transaction_required
from inscripciones import envios
from inscripciones.models import Envio, Inscripcion
from inscripciones.reglas import Conocido
from kafka_bridge import conf


@transaction_required
def encargar(nuevos: list[Envio]) -> None:
    """Write down e-mails to send, and hint at them once this is committed.

    A mail whose cause has led to one already (the same id) is skipped.
    """
    if nuevos:
        Envio.objects.bulk_create(nuevos, ignore_conflicts=True)
        transaction.on_commit(lambda: envios.send_soon(envio.pk for envio in nuevos))


def credenciales(inscripcion: Inscripcion) -> Envio:
    """Return the e-mail with a new maestro's token, one per enrolment."""
    return _envio(inscripcion, Envio.Tipo.CREDENCIALES, inscripcion.pk)


def rechazo(inscripcion: Inscripcion) -> Envio:
    """Return the e-mail with the reason of a rejection."""
    return _daily(inscripcion, Envio.Tipo.RECHAZO, inscripcion.resuelta_en)


def avisos(repetidas: Iterable[Inscripcion], conocido: Conocido) -> list[Envio]:
    """Return the notices to the holders of repeated data, at the holders' own address."""
    notices = {}
    for repetida in repetidas:
        for holder in (conocido.por_rut.get(repetida.rut), conocido.por_email.get(repetida.email)):
            if holder:
                aviso = _daily(holder, Envio.Tipo.AVISO, repetida.recibida_en)
                notices[aviso.pk] = aviso
    return list(notices.values())


def _daily(inscripcion: Inscripcion, tipo: Envio.Tipo, momento: datetime | None) -> Envio:
    """Return an e-mail of which a mailbox, whatever its aliases, gets at most one per Chilean day.

    Anyone may have typed that address into a form, as often as they like.
    """
    mailbox = salted_hmac("inscripciones.buzon", inscripcion.buzon, algorithm="sha256").hexdigest()
    return _envio(inscripcion, tipo, mailbox, timezone.localdate(momento))


def _envio(inscripcion: Inscripcion, tipo: Envio.Tipo, *cause: object) -> Envio:
    envio_id = uuid5(conf.NAMESPACE, f"envio|{tipo}|{'|'.join(map(str, cause))}")
    return Envio(id=envio_id, tipo=tipo, inscripcion=inscripcion)
