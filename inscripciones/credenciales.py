"""A maestro's token: one at a time, readable once, stored as a hash.

knox keeps SHA-512 of the token and its first 15 characters in plain text, to find the row: the
prefix `mmc_` and 11 of 64 hexadecimal digits. The other 53 digits are 212 bits, which cannot be
guessed.
"""

from django.contrib.auth.hashers import make_password
from django.db import transaction
from knox.models import AuthToken

from inscripciones.models import Usuario


class TokenCambiado(Exception):
    """The token that was to be replaced is no longer the maestro's: nothing was changed.

    Usually the same request came before. Look at the present token, then replace that one.
    """


@transaction.atomic
def emitir(usuario: Usuario, *, en_lugar_de: str | None = None) -> str:
    """Return a new token and void the previous one. The token cannot be read again.

    `en_lugar_de`: the beginning of the token to replace, or an empty text if the maestro has none.
    None replaces any token. Raises TokenCambiado if the maestro's token begins otherwise: a
    repeated request must not void the token that the first request showed.
    """
    _lock(usuario)
    if en_lugar_de is not None and en_lugar_de != _comienzo(usuario):
        raise TokenCambiado
    revocar(usuario)
    _row, token = AuthToken.objects.create(usuario)
    return str(token)


def _comienzo(usuario: Usuario) -> str:
    return AuthToken.objects.filter(user=usuario).values_list("token_key", flat=True).first() or ""


@transaction.atomic
def revocar(usuario: Usuario) -> None:
    """Void the user's token and end the sessions that it opened.

    Sessions depend on the password's hash, which changes. The user's row stays locked until the
    transaction ends: of two calls at once, the second waits and voids the token of the first.
    """
    _lock(usuario)
    AuthToken.objects.filter(user=usuario).delete()
    usuario.password = make_password(None)
    usuario.save(update_fields=["password"])


def _lock(usuario: Usuario) -> None:
    Usuario.objects.select_for_update(no_key=True).get(pk=usuario.pk)
