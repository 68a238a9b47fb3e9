"""The e-mails about an enrolment: what each says is in `templates/inscripciones/`, as text and as HTML."""

from email.utils import parseaddr
from typing import Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from inscripciones.models import Envio

ASUNTOS: Final = {
    Envio.Tipo.CREDENCIALES: "Tus credenciales de MAMOCHI",
    Envio.Tipo.RECHAZO: "Tu inscripción en MAMOCHI",
    Envio.Tipo.AVISO: "Alguien usó tus datos en MAMOCHI",
}


def componer(envio: Envio, *, token: str = "") -> EmailMultiAlternatives:
    """The mail, ready to send, with its row's Message-ID. Only credentials take a token."""
    tipo = Envio.Tipo(envio.tipo)
    contexto = _contexto(envio, token)
    mail = EmailMultiAlternatives(
        ASUNTOS[tipo],
        render_to_string(f"inscripciones/{tipo}.txt", contexto),
        to=[envio.inscripcion.email],
        headers={"Message-ID": envio.message_id, "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"inscripciones/{tipo}.html", contexto), "text/html")
    return mail


def message_id(envio: Envio) -> str:
    """Stable, so that a mailbox shows a repeated mail once. Credentials differ by attempt: each brings another token."""
    intento = f".{envio.intentos}" if envio.tipo == Envio.Tipo.CREDENCIALES else ""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{envio.tipo}.{envio.pk}{intento}@{domain}>"


def _contexto(envio: Envio, token: str) -> dict[str, object]:
    return {
        "inscripcion": envio.inscripcion,
        "nombre": envio.inscripcion.nombre.split()[0],
        "token": token,
        "api": f"{settings.SITE_URL}{reverse('inscripciones:raiz')}",
        "entrar": f"{settings.SITE_URL}{reverse('inscripciones:entrar')}",
        "seguir": f"{settings.SITE_URL}{reverse('inscripciones:inscripcion-detail', args=[envio.inscripcion.pk])}",
    }
