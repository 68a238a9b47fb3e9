"""Changes to a member: another address, leaving the guild."""

import pytest
from django.utils import timezone
from knox.models import AuthToken

from inscripciones import credenciales, maestros
from inscripciones.correos import envios
from inscripciones.models import Envio, Maestro, Usuario
from tests.support.people import NOW, make_form, published, register

pytestmark = pytest.mark.django_db


def test_a_corrected_address_gets_new_credentials() -> None:
    [fila] = register(make_form(email="rosa@gmial.com"))
    maestro = Maestro.objects.get()
    credenciales.emitir(maestro.usuario)
    Envio.objects.update(estado=Envio.Estado.ENVIADO)
    maestros.corregir_correo(maestro.pk, "Rosa.N@gmail.com", ahora=NOW)
    fila.refresh_from_db()
    maestro.refresh_from_db()
    assert (fila.email, fila.buzon, maestro.email) == ("rosa.n@gmail.com", "rosan@gmail.com", "rosa.n@gmail.com")
    assert (AuthToken.objects.count(), Envio.objects.get().estado) == (0, Envio.Estado.PENDIENTE)
    assert published()[-1]["email"] == "rosa.n@gmail.com"


def test_the_new_address_must_be_free() -> None:
    _, otra = register(make_form(), make_form(nombre="Rosa"))
    maestro = Maestro.objects.get()
    with pytest.raises(ValueError, match="otra inscripción"):
        maestros.corregir_correo(maestro.pk, otra.email.upper(), ahora=NOW)


def test_who_left_the_guild_gets_no_credentials() -> None:
    [fila] = register(make_form())
    usuario = Usuario.objects.get()
    maestros.dar_de_baja(usuario)
    envio = Envio.objects.get(inscripcion=fila)
    assert (envio.estado, envio.ultimo_error) == (Envio.Estado.DETENIDO, Envio.DE_BAJA)
    assert not envios.reenviar_credenciales(fila.pk, ahora=timezone.now())
    envios.reintentar([envio.pk], ahora=timezone.now())
    assert not envios.enviar(envio.pk, ahora=timezone.now())
    envio.refresh_from_db()
    assert (envio.estado, AuthToken.objects.count()) == (Envio.Estado.DETENIDO, 0)
