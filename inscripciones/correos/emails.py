"""The texts of the e-mails about an enrolment, from templates as text and as HTML."""

from typing import Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

from gremio import mail
from inscripciones.models import Envio

ASUNTOS: Final = {
    Envio.Tipo.CREDENCIALES: "Tus credenciales de MAMOCHI",
    Envio.Tipo.RECHAZO: "Tu inscripción en MAMOCHI",
    Envio.Tipo.AVISO: "Alguien usó tus datos en MAMOCHI",
}


def componer(envio: Envio, *, token: str = "") -> EmailMultiAlternatives:
    """Return the mail, ready to send, with its row's Message-ID. Only credentials take a token."""
    tipo = Envio.Tipo(envio.tipo)
    inscripcion = envio.inscripcion
    context = {
        "inscripcion": inscripcion,
        "nombre": inscripcion.nombre.split()[0],
        "token": token,
        "api": f"{settings.SITE_URL}{reverse('inscripciones:raiz')}",
        "entrar": f"{settings.SITE_URL}{reverse('inscripciones:entrar')}",
        "seguir": f"{settings.SITE_URL}{reverse('inscripciones:inscripcion-detail', args=[inscripcion.pk])}",
    }
    return mail.message(
        ASUNTOS[tipo], f"inscripciones/{tipo}", context, to=inscripcion.email, message_id=envio.message_id
    )


def message_id(envio: Envio) -> str:
    """Return the Message-ID: our retry keeps it, so that a mailbox shows a repeated mail once.

    What a person asks for is a new message. Credentials are one per attempt, because each attempt
    brings another token and voids the one before.
    """
    if envio.tipo == Envio.Tipo.CREDENCIALES:
        return mail.message_id(envio.tipo, envio.pk, envio.intentos)
    return mail.message_id(envio.tipo, envio.pk, *mail.resend_part(envio.reenvios))
