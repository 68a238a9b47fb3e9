"""Which e-mails follow from a decision: credentials, rejections, notices of repeated data.

This module makes their rows. `envios` sends them, and `emails` writes their texts.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import uuid5

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from gremio.transactions import transaction_required
from inscripciones.correos import envios
from inscripciones.formulario.reglas import Conocido
from inscripciones.models import Envio, Inscripcion
from kafka_bridge import conf


@transaction_required
def encargar(nuevos: list[Envio]) -> None:
    """Store e-mails to send; after the commit, ask a worker to send them now (a hint).

    A mail that is stored already (the same cause, so the same id) is skipped.
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
    """Return a notice to each holder of a RUT or address that one of these forms repeats.

    It goes to the holder's address, not to the one in the repeated form.
    """
    notices = {}
    for repetida in repetidas:
        for holder in (conocido.por_rut.get(repetida.rut), conocido.por_email.get(repetida.email)):
            if holder:
                aviso = _daily(holder, Envio.Tipo.AVISO, repetida.recibida_en)
                notices[aviso.pk] = aviso
    return list(notices.values())


def _daily(inscripcion: Inscripcion, tipo: Envio.Tipo, momento: datetime | None) -> Envio:
    """Return an e-mail of a type that a mailbox gets at most once per Chilean day.

    Aliases of a mailbox count as one. The limit is needed because anyone can type another person's
    address into a form, many times.
    """
    mailbox = salted_hmac("inscripciones.buzon", inscripcion.buzon, algorithm="sha256").hexdigest()
    return _envio(inscripcion, tipo, mailbox, timezone.localdate(momento))


def _envio(inscripcion: Inscripcion, tipo: Envio.Tipo, *cause: object) -> Envio:
    envio_id = uuid5(conf.NAMESPACE, f"envio|{tipo}|{'|'.join(map(str, cause))}")
    return Envio(id=envio_id, tipo=tipo, inscripcion=inscripcion)
