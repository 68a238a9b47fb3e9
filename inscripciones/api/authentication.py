"""Authentication by a maestro's token in the Authorization header."""

from collections.abc import Mapping, Sequence
from functools import cache
from hmac import compare_digest
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from knox.settings import CONSTANTS, knox_settings
from rest_framework.exceptions import AuthenticationFailed

from inscripciones.models import Usuario
from kafka_bridge import first_query
from kafka_bridge.publishing.claims import Condition


class Portador(NamedTuple):
    """A maestro who sent a valid token, and the token's digest."""

    digest: str
    maestro_id: UUID
    zona: str


# What requests use, in the models' order. Django reads another field when it is asked for.
_OF_TOKEN: Final = ("digest", "user_id")
_OF_USER: Final = ("id", "is_superuser", "username", "is_staff", "is_active", "maestro_id", "zona")
_EXPIRED: Final = "EXISTS (SELECT FROM {tokens} own WHERE own.user_id = {users}.id AND own.expiry < %s::timestamptz)"
_FROM: Final = " FROM {tokens} JOIN {users} ON {users}.id = {tokens}.user_id WHERE "
_BEGINNING: Final = "SELECT {columns}, " + _EXPIRED + _FROM + "{tokens}.token_key = ANY(%s::text[])"
# The valid tokens of maestros who have no expired one; of the others `TokenDeMaestro` decides.
_VALID: Final = _FROM + "{users}.is_active AND {users}.maestro_id IS NOT NULL AND NOT " + _EXPIRED
_OF_DIGESTS: Final = (
    "SELECT {tokens}.digest, {users}.maestro_id, {users}.zona" + _VALID + " AND {tokens}.digest = ANY(%s::text[])"
)
_AS_GIVEN: Final = (
    "SELECT" + _VALID + " AND {tokens}.digest = sent.digest"
    " AND {users}.maestro_id = sent.maestro_id AND {users}.zona = sent.zona"
)


class TokenDeMaestro(TokenAuthentication):
    """knox's authentication, in one query where knox makes two; nothing is kept between requests.

    Where knox would delete an expired token, knox itself decides. A token that is not ASCII text is
    answered with 401; knox would answer 500.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[Usuario, AuthToken]:
        """Return the user and the token's row. Raises AuthenticationFailed."""
        if not token.isascii() or b"\x00" in token:
            raise AuthenticationFailed("Token inválido.")
        text = token.decode()
        rows = _rows([text[: CONSTANTS.TOKEN_KEY_LENGTH]])
        if knox_settings.AUTO_REFRESH or any(expired for *_row, expired in rows):
            knox: Any = super()  # it has no types
            verdict: tuple[Usuario, AuthToken] = knox.authenticate_credentials(token)
            return verdict
        digest = hash_token(text) if rows else ""
        for user, row, _expired in rows:
            if compare_digest(digest, row.digest):
                if not user.is_active:
                    raise AuthenticationFailed(_("User inactive or deleted."))
                return user, row
        raise AuthenticationFailed(_("Invalid token."))


def maestros(tokens: Sequence[str]) -> dict[str, Portador]:
    """Return the maestros of valid tokens, by token; in one query.

    A token that is missing there need not be invalid: `TokenDeMaestro` decides, and says why. Each
    sale asks, so no objects of the models are made: that takes five times as long.
    """
    if knox_settings.AUTO_REFRESH:
        return {}
    digests = {token: hash_token(token) for token in tokens}
    rows = first_query.rows(_sql(_OF_DIGESTS), [timezone.now(), list(set(digests.values()))])
    found = {row[0]: Portador(*row) for row in rows}
    return {token: found[digest] for token, digest in digests.items() if digest in found}


def still_valid(portadores: Mapping[UUID, Portador]) -> Condition:
    """Return the condition of claims that their senders are as given, by the rule of `maestros`."""
    values = {event_id: portador._asdict() for event_id, portador in portadores.items()}
    return Condition("digest text, maestro_id uuid, zona text", _sql(_AS_GIVEN), [timezone.now()], values)


def _rows(token_keys: list[str]) -> list[tuple[Usuario, AuthToken, bool]]:
    """Return the tokens that begin with one of these keys, and their users.

    The last value is True if the user has an expired token, which may be this one.
    """
    return [_row(values) for values in first_query.rows(_sql(_BEGINNING), [timezone.now(), token_keys])]


def _row(values: tuple[Any, ...]) -> tuple[Usuario, AuthToken, bool]:
    token = AuthToken.from_db(connection.alias, _OF_TOKEN, values[: len(_OF_TOKEN)])
    token.user = Usuario.from_db(connection.alias, _OF_USER, values[len(_OF_TOKEN) : -1])
    return token.user, token, values[-1]


@cache
def _sql(query: str) -> str:
    tokens, users = _quoted(AuthToken._meta.db_table), _quoted(Usuario._meta.db_table)
    columns = ", ".join([*_columns(AuthToken, _OF_TOKEN), *_columns(Usuario, _OF_USER)])
    return query.format(columns=columns, tokens=tokens, users=users)


def _columns(model: type[Model], names: Sequence[str]) -> list[str]:
    columns = {field.attname: field.column for field in model._meta.concrete_fields}
    return [f"{_quoted(model._meta.db_table)}.{_quoted(columns[name])}" for name in names]


def _quoted(name: str | None) -> str:
    return connection.ops.quote_name(str(name))
