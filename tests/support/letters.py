"""Dead letters of a sandbox, and staff who handle them in the admin."""

import json
import threading
from collections.abc import Callable
from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse

from kafka_bridge.dead_letters.actions import Actor
from kafka_bridge.exceptions import AlreadyResolved
from kafka_bridge.models import DeadLetter
from tests.support.sandbox import SECONDS

PERSONAL: Final = "12.345.678-5"  # a RUT, which no log, error or audit entry may hold
STAFF: Final = Actor("jefa")
LIST_URL: Final = "/admin/kafka_bridge/deadletter/"

MakeLetter = Callable[..., DeadLetter]


def client_with(*permissions: str, username: str = "jefa") -> Client:
    """Return a client that is logged in as a new member of staff with these permissions."""
    user = get_user_model().objects.create_user(username, password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def payload_with(letter: DeadLetter, **fields: object) -> str:
    """Return the letter's payload as JSON text with some fields replaced."""
    return json.dumps({**json.loads(bytes(letter.value or b"{}")), **fields})


def url_of(letter: DeadLetter, name: str = "change") -> str:
    """Return the URL of one of the letter's pages in the admin."""
    return reverse(f"admin:kafka_bridge_deadletter_{name}", args=[letter.pk])


def in_threads(count: int, work: Callable[[], object]) -> list[object]:
    """Call `work` in threads that start together, each with its own database connection.

    Returns what each call returned, or the AlreadyResolved that it raised.
    """
    barrier, results = threading.Barrier(count), list[object]()

    def run() -> None:
        barrier.wait(SECONDS)
        try:
            results.append(work())
        except AlreadyResolved as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return results
