"""The tasks, with a real worker while SMTP is down; no token is anywhere but in the mails."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
from django.conf import settings as django_settings
from knox.models import AuthToken

from deploy.embedded.mailbox import Mailbox
from inscripciones import credenciales, tasks
from inscripciones.correos import envios
from inscripciones.models import Envio, Usuario
from tests.stack import wait_until
from tests.support.api import client_with
from tests.support.consumers import celery_worker
from tests.support.people import make_form, register
from tests.support.secrets import is_valid, token_in, whole_database

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("smtp")]


def test_a_task_carries_ids_only() -> None:
    register(make_form())
    envio_id = Envio.objects.get().pk
    assert isinstance(envio_id, UUID)
    assert tasks.enviar_correos([str(envio_id)]) == 1


def everything_in_valkey() -> str:
    """Return every key of Celery's broker with its value."""
    client: Any = redis.Redis.from_url(django_settings.CELERY_BROKER_URL)
    read = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    types = [(key, client.type(key)) for key in client.scan_iter()]
    return repr([(key, read[type_](key)) for key, type_ in types if type_ in read])


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_smtp_down_while_fifty_are_approved(
    smtp_down: Callable[[], None], mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of fifty maestros gets one mail with a valid token; no token is stored anywhere."""
    caplog.set_level(logging.DEBUG)
    made, emitir = list[str](), credenciales.emitir

    def remember(usuario: Usuario) -> str:
        made.append(emitir(usuario))
        return made[-1]

    monkeypatch.setattr(credenciales, "emitir", remember)
    monkeypatch.setattr(envios, "FIRST_RETRY", timedelta(seconds=1))
    filas = register(*(make_form() for _ in range(50)))
    with celery_worker():
        wait_until(lambda: Envio.objects.filter(intentos__gte=1, estado="pendiente").count() == 50, timeout=30)
        queued = everything_in_valkey()
        smtp_down()

        def all_sent_after_a_sweep() -> bool:
            tasks.barrer_envios.delay()
            return Envio.objects.filter(estado=Envio.Estado.ENVIADO).count() == 50

        wait_until(all_sent_after_a_sweep, timeout=60, interval=1.0)
        queued += everything_in_valkey()
    tokens = [token_in(mail) for fila in filas for mail in mailbox.wait_for(to=fila.email)]
    assert len(set(tokens)) == len(tokens) == AuthToken.objects.count() == 50
    assert all(map(is_valid, tokens))
    for token in tokens:
        assert client_with(token).get("/api/v1/tokens/").status_code == 200
    stored = whole_database()
    assert len(made) >= 100, "also the tokens of attempts that failed"
    for token in made:
        assert token[15:] not in stored
        assert token[15:] not in caplog.text
        assert token[15:] not in queued
