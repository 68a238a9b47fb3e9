"""A maestro's token: one at a time, readable once, stored as a hash.

knox keeps SHA-512 of the token and its first 15 characters in plain text, to find the row: the prefix `mmc_` and 11 of
64 hexadecimal digits. The 53 that are left are 212 bits, which nobody guesses.
"""

from django.contrib.auth.hashers import make_password
from django.db import transaction
from knox.models import AuthToken

from inscripciones.models import Envio, Usuario


@transaction.atomic
def emitir(usuario: Usuario) -> str:
    """A new token, the only valid one from now on, whoever else asks for one. It cannot be read again."""
    revocar(usuario)
    _row, token = AuthToken.objects.create(usuario)
    return str(token)


@transaction.atomic
def revocar(usuario: Usuario) -> None:
    """Voids the user's token and ends the sessions that it opened (they hang on the password's hash, which changes).

    Two at once wait for each other here, until the transaction ends, and the second one voids what the first one made.
    """
    Usuario.objects.select_for_update(no_key=True).get(pk=usuario.pk)
    AuthToken.objects.filter(user=usuario).delete()
    usuario.password = make_password(None)
    usuario.save(update_fields=["password"])


@transaction.atomic
def dar_de_baja(usuario: Usuario) -> None:
    """The maestro left the guild: no token, no session, no way to log in, and none on its way."""
    debidos = Envio.objects.filter(tipo=Envio.Tipo.CREDENCIALES, inscripcion__maestro__usuario=usuario)
    debidos.filter(estado__in=Envio.ABIERTOS).update(estado=Envio.Estado.DETENIDO, ultimo_error=Envio.DE_BAJA)
    usuario.is_active = False
    usuario.save(update_fields=["is_active"])
    revocar(usuario)


def reactivar(usuario: Usuario) -> None:
    """The maestro is back; the token comes with credentials that staff resend."""
    usuario.is_active = True
    usuario.save(update_fields=["is_active"])
