"""The engine in a project that is not this one: tests/bookshop, as programs of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from deploy.embedded import Stack
from deploy.embedded.ports import HOST, free_port
from deploy.embedded.waiting import wait_until

pytestmark = pytest.mark.slow

SECONDS: Final = 60.0
ROOT: Final = Path(__file__).parent.parent.parent
NOT_ENGLISH: Final = set("áéíóúñ¿¡")


@dataclass
class Bookshop:
    """The bookshop's programs and its database."""

    database_url: str
    bootstrap: str
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def manage(self, *arguments: str) -> str:
        """Run a command to its end and return its output."""
        done = subprocess.run(
            self._command(arguments),
            env=self._environment(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, *arguments: str, **changed: str) -> subprocess.Popen[str]:
        """Start a program in the background; `changed` are environment variables of its own."""
        environment = {**self._environment(), **changed}
        program = subprocess.Popen(self._command(arguments), env=environment, cwd=ROOT, text=True)
        self.running.append(program)
        return program

    def serve(self, **changed: str) -> str:
        """Start the web and return its address."""
        address = f"{HOST}:{free_port()}"
        self.start("runserver", "--noreload", "--skip-checks", address, **changed)
        wait_until(lambda: answers(f"http://{address}/health/live"), SECONDS, what="the bookshop's web")
        return f"http://{address}"

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        """Return the rows of a query on the bookshop's database."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def orders(self, isbn: str) -> list[Any]:
        """Return how many copies each order of the book has."""
        return self.rows(
            "SELECT copies FROM orders_order JOIN orders_book ON orders_book.id = book_id WHERE isbn = %s", isbn
        )

    def stop(self) -> None:
        for program in self.running:
            program.terminate()
        for program in self.running:
            program.wait(SECONDS)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "django", *arguments]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "tests.bookshop.settings",
            "DATABASE_URL": self.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "DJANGO_SUPERUSER_PASSWORD": "for-tests-only",
        }


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def read(url: str) -> str:
    with urlopen(url, timeout=SECONDS) as answer:
        return str(answer.read().decode())


def order(web: str, isbn: str, copies: int, number: str = "") -> int:
    """Order copies of a book; return the status."""
    body = json.dumps({"number": number or str(uuid4()), "isbn": isbn, "copies": copies})
    request = Request(f"{web}/orders/", data=body.encode(), method="POST")
    with urlopen(request, timeout=SECONDS) as answer:
        return int(answer.status)


@pytest.fixture(scope="module")
def bookshop(stack: Stack) -> Iterator[Bookshop]:
    """Start the bookshop: its own database, its topics, its consumer running."""
    name = f"bookshop_{uuid4().hex}"
    url = stack.environment()["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    shop = Bookshop(f"{url.rpartition('/')[0]}/{name}", stack.environment()["KAFKA_BOOTSTRAP_SERVERS"])
    try:
        shop.manage("migrate", "--run-syncdb")
        shop.manage("createsuperuser", "--noinput", "--username", "owner", "--email", "owner@bookshop.example")
        shop.manage("create_topics")
        shop.start("run_consumer", "warehouse")
        yield shop
    finally:
        shop.stop()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def web(bookshop: Bookshop) -> str:
    """Start the bookshop's web and return its address."""
    return bookshop.serve()


def test_checks_pass(bookshop: Bookshop) -> None:
    bookshop.manage("check")
    assert "1 event types keep to their frozen schemas" in bookshop.manage("check_event_schemas")
    assert "topics on the brokers are as declared" in bookshop.manage("check_brokers")
    assert "bookshop.orders: 2 partitions, exists already" in bookshop.manage("create_topics")


def test_an_order_becomes_one_row(bookshop: Bookshop, web: str) -> None:
    bookshop.manage("stock_book", "9780140449136")
    for _ in range(2):
        assert order(web, "9780140449136", 3, number="order-1") == 202
    assert order(web, "9780140449136", 4, number="order-2") == 202
    wait_until(lambda: len(bookshop.orders("9780140449136")) == 2, SECONDS)
    assert sorted(bookshop.orders("9780140449136")) == [(3,), (4,)]


def test_without_kafka_orders_wait_in_the_outbox(bookshop: Bookshop) -> None:
    bookshop.manage("stock_book", "9780060883287")
    lonely = bookshop.serve(KAFKA_BOOTSTRAP_SERVERS=f"{HOST}:{free_port()}")
    assert order(lonely, "9780060883287", 5) == 202
    assert bookshop.rows("SELECT count(*) FROM kafka_bridge_outboxmessage") == [(1,)]
    bookshop.start("run_outbox_relay")
    wait_until(lambda: bookshop.orders("9780060883287") == [(5,)], SECONDS)
    assert bookshop.rows("SELECT count(*) FROM kafka_bridge_outboxmessage") == [(0,)]


def test_a_dead_letter_is_replayed(bookshop: Bookshop, web: str) -> None:
    query = "SELECT consumer, reason, state FROM kafka_bridge_deadletter WHERE key = %s"
    assert order(web, "9780156012195", 7) == 202
    wait_until(lambda: bookshop.rows(query, b"9780156012195"), SECONDS)
    assert bookshop.rows(query, b"9780156012195") == [("warehouse", "handler", "open")]
    assert bookshop.orders("9780156012195") == []

    bookshop.manage("stock_book", "9780156012195")
    said = bookshop.manage("replay_dead_letters", "--consumer", "warehouse", "--user", "owner")
    assert "1 of 1 open dead letters replayed" in said
    bookshop.start("run_outbox_relay")
    wait_until(lambda: bookshop.orders("9780156012195") == [(7,)], SECONDS)
    assert bookshop.rows(query, b"9780156012195") == [("warehouse", "handler", "replayed")]


def test_names_are_the_bookshops(web: str) -> None:
    assert "bookshop_published_total" in read(f"{web}/metrics")
    assert "mamochi" not in read(f"{web}/metrics").lower()
    document = json.loads(read(f"{web}/api/asyncapi/"))
    assert "bookshop.orders" in str(document["channels"])
    assert "mamochi" not in str(document).lower()


PAGES: Final = """
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
staff = Client(headers={"host": "localhost"})
staff.force_login(User.objects.get(username="owner"))
for model in apps.get_app_config("kafka_bridge").get_models():
    page = f"admin:kafka_bridge_{model._meta.model_name}_changelist"
    if admin.site.is_registered(model):
        print(staff.get(reverse(page)).text)
print(staff.get("/health/ready").text, staff.get("/api/asyncapi/").text)
"""


def test_texts_are_english(bookshop: Bookshop) -> None:
    pages = bookshop.manage("shell", "-c", PAGES)
    assert "dead letters" in pages.lower()
    assert not {line.strip() for line in pages.splitlines() if NOT_ENGLISH & set(line)}
