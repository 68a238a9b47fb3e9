"""Authentication by token: knox's verdict, in one query, and nothing kept between requests."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from knox.signals import token_expired
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.test import APIRequestFactory

from inscripciones import credenciales
from inscripciones.api.authentication import TokenDeMaestro
from inscripciones.models import Usuario
from tests.support.api import client_with
from tests.support.people import make_form, register

pytestmark = pytest.mark.django_db


class Outcome(NamedTuple):
    """What a judge decided, which tokens it left, and whose expired tokens it reported."""

    verdict: object
    left: set[str]
    reported: list[tuple[str, str]]


def outcome_of(judge: TokenAuthentication, header: str) -> Outcome:
    """Let `judge` decide about the header; then undo what it deleted."""
    reported: list[tuple[str, str]] = []

    def note(username: str, source: str, **_: Any) -> None:
        reported.append((username, source))

    token_expired.connect(note)
    with transaction.atomic():
        try:
            user, token = (
                judge.authenticate(APIRequestFactory().get("/", headers={"authorization": header})) or (None,) * 2
            )
            verdict: object = (type(user), user and values_of(user), token and values_of(token))
        except AuthenticationFailed as error:
            verdict = (error.status_code, error.detail, error.get_codes())
        left = set(AuthToken.objects.values_list("digest", flat=True))
        transaction.set_rollback(True)
    token_expired.disconnect(note)
    return Outcome(verdict, left, reported)


def values_of(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def expire(token: str) -> None:
    AuthToken.objects.filter(digest=hash_token(token)).update(expiry=timezone.now() - timedelta(seconds=1))


def second(maestro: Usuario, *, like: str = "", expired: bool = False) -> str:
    """Make another token of the maestro; with `like`, one that begins as that token does."""
    row, token = AuthToken.objects.create(maestro)
    if like:
        AuthToken.objects.filter(pk=row.pk).update(token_key=like[:15], digest=hash_token(like[:15] + token[15:]))
        token = like[:15] + token[15:]
    if expired:
        expire(token)
    return str(token)


def other() -> Usuario:
    [fila] = register(make_form())
    return Usuario.objects.get(maestro__inscripcion=fila)


def expired(maestro: Usuario, token: str) -> str:
    expire(token)
    return token


def without_end(maestro: Usuario, token: str) -> str:
    AuthToken.objects.update(expiry=None)
    return token


def revoked(maestro: Usuario, token: str) -> str:
    credenciales.revocar(maestro)
    return token


def inactive(maestro: Usuario, token: str) -> str:
    Usuario.objects.filter(pk=maestro.pk).update(is_active=False)
    return token


def inactive_and_expired(maestro: Usuario, token: str) -> str:
    expire(token)
    return inactive(maestro, token)


def of_staff(maestro: Usuario, _token: str) -> str:
    return second(Usuario.objects.create_superuser("jefa"))


def expired_beside(maestro: Usuario, token: str) -> str:
    second(maestro, expired=True)
    return token


def expired_beside_a_wrong_one(maestro: Usuario, token: str) -> str:
    second(maestro, expired=True)
    return token[:15] + "0" * 53


def collision_of_two_maestros(maestro: Usuario, token: str) -> str:
    second(other(), like=token)
    return token


def second_of_a_collision(maestro: Usuario, token: str) -> str:
    return second(other(), like=token)


def collision_with_an_expired_one(maestro: Usuario, token: str) -> str:
    second(other(), like=token, expired=True)
    return token


def expired_one_of_a_collision(maestro: Usuario, token: str) -> str:
    return second(other(), like=token, expired=True)


CASES: dict[str, Callable[[Usuario, str], str]] = {
    "valid": lambda _, token: token,
    "last digit differs": lambda _, token: token[:-1] + ("0" if token[-1] != "0" else "1"),
    "longer": lambda _, token: token + "0",
    "only its beginning": lambda _, token: token[:15],
    "shorter than its beginning": lambda _, token: token[:10],
    "upper case": lambda _, token: token.upper(),
    "another prefix": lambda _, token: "abc_" + token[4:],
    "without prefix": lambda _, token: token[4:],
    "wildcards": lambda _, token: "%" * 15,
    "quote": lambda _, token: token[:14] + "'" + token[15:],
    **{
        make.__name__: make
        for make in (
            *(expired, without_end, revoked, inactive, inactive_and_expired, of_staff, expired_beside),
            *(expired_beside_a_wrong_one, collision_of_two_maestros, second_of_a_collision),
            *(collision_with_an_expired_one, expired_one_of_a_collision),
        )
    },
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_knoxs(maestro: Usuario, case: str) -> None:
    token = CASES[case](maestro, credenciales.emitir(maestro))
    header = f"Bearer {token}"
    assert outcome_of(TokenDeMaestro(), header) == outcome_of(TokenAuthentication(), header)


@pytest.mark.parametrize("header", ["", "Bearer", "bearer {}", "Bearer {} x", "Basic {}", "Token {}", "Bearer\t{}"])
def test_headers_are_read_as_knox_does(maestro: Usuario, header: str) -> None:
    header = header.format(credenciales.emitir(maestro))
    assert outcome_of(TokenDeMaestro(), header) == outcome_of(TokenAuthentication(), header)


@pytest.mark.parametrize("token", ["mmc_\x00", "mmc_ñ", "\xff\xfe"])
def test_a_token_that_is_no_ascii_text_is_401(token: str) -> None:
    with pytest.raises(AuthenticationFailed, match="Token inválido"):
        TokenDeMaestro().authenticate_credentials(token.encode("latin-1"))


@pytest.mark.parametrize("case", ["valid", "last digit differs", "another prefix", "revoked", "inactive"])
def test_one_query_per_token(maestro: Usuario, case: str) -> None:
    token = CASES[case](maestro, credenciales.emitir(maestro))
    with CaptureQueriesContext(connection) as queries:
        try:
            user, row = TokenDeMaestro().authenticate_credentials(token.encode())
        except AuthenticationFailed:
            pass
        else:
            # What views read needs no other query.
            assert (user.maestro_id, user.zona, row.user) == (maestro.maestro_id, maestro.zona, user)
    assert len(queries) == 1


@pytest.mark.parametrize("end", [revoked, inactive, expired])
def test_a_token_ends_at_its_next_use(maestro: Usuario, end: Callable[[Usuario, str], str]) -> None:
    token = credenciales.emitir(maestro)
    client = client_with(token)
    assert client.get("/api/v1/tokens/").status_code == 200
    end(maestro, token)
    answer = client.get("/api/v1/tokens/")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
