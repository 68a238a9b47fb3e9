"""A maestro's token: one at a time, readable once, stored as a hash.

knox keeps SHA-512 of the token and its first 15 characters in plain text, to find the row: the
prefix `mmc_` and 11 of 64 hexadecimal digits. The other 53 digits are 212 bits, which cannot be
guessed.
"""

from django.contrib.auth.hashers import make_password
from django.db import transaction
from knox.models import AuthToken

from inscripciones.models import Usuario


@transaction.atomic
def emitir(usuario: Usuario) -> str:
    """Return a new token and void the previous one. The token cannot be read again."""
    revocar(usuario)
    _row, token = AuthToken.objects.create(usuario)
    return str(token)


@transaction.atomic
def revocar(usuario: Usuario) -> None:
    """Void the user's token and end the sessions that it opened.

    Sessions depend on the password's hash, which changes. The user's row stays locked until the
    transaction ends: of two calls at once, the second waits and voids the token of the first.
    """
    Usuario.objects.select_for_update(no_key=True).get(pk=usuario.pk)
    AuthToken.objects.filter(user=usuario).delete()
    usuario.password = make_password(None)
    usuario.save(update_fields=["password"])
