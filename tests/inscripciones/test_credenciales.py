"""A maestro's token: one at a time, stored as a hash."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from knox.models import AuthToken

from inscripciones import credenciales
from inscripciones.models import Usuario
from tests.stack import wait_until
from tests.support.people import make_form, register
from tests.support.secrets import is_valid, whole_database

pytestmark = pytest.mark.django_db


def test_only_hash_and_beginning_are_stored() -> None:
    [fila] = register(make_form())
    usuario = Usuario.objects.get()
    token = credenciales.emitir(usuario)
    row = AuthToken.objects.get()
    assert row.token_key == token[:15]
    assert token[15:] not in whole_database()
    assert fila.rut not in str(vars(row))


@pytest.mark.django_db(transaction=True)
def test_of_two_tokens_made_at_once_one_is_valid() -> None:
    """While the first token is not committed, making the second one waits."""
    register(make_form())
    usuario, thread = Usuario.objects.get(), ThreadPoolExecutor(1)

    def make_another() -> str:
        try:
            return credenciales.emitir(Usuario.objects.get())
        finally:
            connection.close()

    with transaction.atomic():
        first = credenciales.emitir(usuario)
        second = thread.submit(make_another)
        wait_until(lambda: second.done() or _someone_waits_for_a_lock(), timeout=15)
    valid = [token for token in (first, second.result(15)) if is_valid(token)]
    assert valid == [second.result()]


def _someone_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
