"""A sale that is accepted on the event loop is answered as Django answers it."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import InterfaceError, OperationalError, connection, connections, transaction
from prometheus_client import REGISTRY

from deploy.embedded.ports import free_port
from inscripciones import credenciales
from inscripciones.models import Usuario
from kafka_bridge.exceptions import Unavailable
from kafka_bridge.models import Claim
from kafka_bridge.publishing.producer import apublish
from kafka_bridge.telemetry.metrics import PUBLISHED
from mamochi_site.web import sales, threads
from mamochi_site.web.lookup import Lookup, Sent
from mamochi_site.web.sales import DirectSales
from mamochi_site.web.threads import InThreads, Message
from tests.mamochi_site.web.sessions import end_sessions
from tests.support.sales import prepare_topics
from tests.support.sandbox import SECONDS
from ventas.catalogo import memoria

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
VENTAS: Final = "/api/v1/ventas/"
VALID: Final = {"producto": "mediano", "cantidad": 1}
CHANGES: Final = ("traceparent", "location")  # from one request to the next
ANSWERED: Final = "django_http_responses_total_by_status_view_method_total"
TOKENS: Final = "inscripciones.api.remembered.maestros"
PUBLISH: Final = "mamochi_site.web.sales.apublish"
OF_SALES: Final = {"view": "ventas:venta-list", "method": "POST"}


def own() -> dict[str, Any]:
    """Return a sale with an id of its own."""
    return {**VALID, "id": str(uuid4())}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def lasting(self) -> dict[str, str]:
        """The headers that are the same for each answer of a kind."""
        return {name: value for name, value in self.headers.items() if name not in CHANGES}

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Site:
    """The ASGI application in this process. `by_django`: the requests that Django answered."""

    application: DirectSales
    threads: InThreads
    token: str
    by_django: list[str] = field(default_factory=list)

    def post(self, body: Any, **headers: str) -> Answer:
        [answer] = self.post_all([body], **headers)
        return answer

    def post_all(self, bodies: Sequence[Any], **headers: str) -> list[Answer]:
        """Send all at the same moment, each on a connection of its own."""

        async def send() -> list[Answer]:
            return await asyncio.gather(*(self._post(body, headers) for body in bodies))

        return asyncio.run(send())

    async def _post(self, body: Any, headers: dict[str, str]) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            "host": "testserver",
            "content-type": "application/json",
            "content-length": str(len(content)),
            "authorization": f"Bearer {self.token}",
        } | {name.replace("_", "-").lower(): value for name, value in headers.items()}
        path, _, query = sent.pop("path", VENTAS).partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        events, answer = [{"type": "http.request", "body": content}], list[Message]()

        async def receive() -> Message:
            return events.pop(0)

        async def take(message: Message) -> None:
            answer.append(message)

        await self.application(scope, receive, take)
        start, *parts = answer
        told = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], told, b"".join(part.get("body", b"") for part in parts))


@pytest.fixture
def maestro(kafka: str, transactional_db: None) -> Usuario:
    prepare_topics()
    memoria.olvidar()
    return Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4())


@pytest.fixture
def site(maestro: Usuario) -> Iterator[Site]:
    """Return a site that has learned how Django answers a sale."""
    wsgi: Any = get_wsgi_application()  # Django's types are not those of a2wsgi
    django = InThreads(wsgi, workers=1)
    with transaction.atomic():
        made = Site(DirectSales(django), django, credenciales.emitir(maestro))

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        made.by_django.append(scope["path"])
        await django(scope, receive, send)

    made.application.django = counted
    assert made.post(VALID).status == 202
    made.by_django.clear()
    yield made
    for executor in (django.executor, django.refusals, django.probes):
        executor.submit(connections.close_all).result()
        executor.shutdown()
    made.application.together.close()


def test_a_sale_is_answered_alike(site: Site) -> None:
    direct, by_django = site.post(VALID), site.post(VALID, path=f"{VENTAS}?a=1")
    assert len(site.by_django) == 1
    assert (direct.status, by_django.status) == (202, 202)
    assert direct.lasting == by_django.lasting
    assert list(direct.json()) == list(by_django.json()) == ["id"]
    for answer in (direct, by_django):
        assert answer.headers["location"] == f"http://testserver{VENTAS}{answer.json()['id']}/"
        assert len(answer.headers["traceparent"]) == 55


def test_the_trace_of_a_request_goes_on(site: Site) -> None:
    sent = f"00-{'a' * 32}-{'b' * 16}-01"
    assert site.post(VALID, traceparent=sent).headers["traceparent"].split("-")[1] == "a" * 32
    assert site.by_django == []


@pytest.mark.parametrize(
    "body",
    [
        {"producto": "gigante", "cantidad": 1},
        {"producto": "mediano", "cantidad": 0},
        {"producto": "mediano", "cantidad": 1, "vendida_en": "2099-01-01T00:00:00Z"},
        {"producto": "mediano", "cantidad": 1, "vendido_en": "ayer"},
        {"producto": "m" * 5_000, "cantidad": 1},
        {},
        [],
        [VALID],
        b"no es JSON",
        b"\xff",
        b'{"producto": "mediano", "producto": "chico", "cantidad": 1}',
        b"null",
        b"7",
        b"",
    ],
    ids=lambda body: str(body)[:40],
)
def test_what_else_comes_is_answered_by_django(site: Site, body: Any) -> None:
    answer, by_django = site.post(body), site.post(body, path=f"{VENTAS}?a=1")
    assert len(site.by_django) == 2
    assert (answer.status, answer.lasting | {"content-length": ""}) == (
        by_django.status,
        by_django.lasting | {"content-length": ""},
    )
    if answer.status != 202:
        assert answer.content == by_django.content


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"accept": "text/html"}, 303),
        ({"accept": "application/json"}, 202),
        ({"accept": "application/json, text/plain, */*"}, 202),
        ({"x_forwarded_host": "otra.example"}, 202),
        ({"idempotency_key": "una"}, 202),
        ({"cookie": "sessionid=x"}, 202),
        ({"origin": "https://otra.example"}, 202),
        ({"host": "otra.example"}, 400),
        ({"x_forwarded_proto": "https"}, 202),
        ({"content_encoding": "gzip"}, 415),
        ({"content_type": "application/json; charset=latin-1"}, 415),
        ({"x_nueva": "1"}, 202),
    ],
    ids=str,
)
def test_other_kinds_are_answered_by_django(site: Site, headers: dict[str, str], status: int) -> None:
    assert (site.post(VALID, **headers).status, len(site.by_django)) == (status, 1)


@pytest.mark.parametrize("credentials", ["", "Bearer", "Bearer mmc_no", "Basic bm8=", "Bearer a b", "Bearer \xa0"])
def test_bad_credentials_are_401(site: Site, credentials: str) -> None:
    answer = site.post(VALID, authorization=credentials)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.content == site.post(VALID, authorization=credentials, path=f"{VENTAS}?a=1").content


def test_a_bad_token_is_told_before_a_bad_body(site: Site) -> None:
    twice = b'{"producto": "mediano", "producto": "chico", "cantidad": 1}'
    assert site.post(twice, authorization="Bearer mmc_no").status == 401
    assert site.post(twice).status == 400


def test_a_voided_token_ends_at_once(site: Site, maestro: Usuario) -> None:
    assert site.post(VALID).status == 202
    credenciales.revocar(maestro)
    assert site.post(VALID).status == 401


@pytest.mark.parametrize(("change", "status"), [({"maestro_id": None}, 403), ({"is_active": False}, 401)], ids=str)
def test_who_is_no_maestro_is_refused(site: Site, maestro: Usuario, change: dict[str, Any], status: int) -> None:
    Usuario.objects.filter(pk=maestro.pk).update(**change)
    assert site.post(VALID).status == status


def test_a_retry_is_the_same_sale(site: Site) -> None:
    sale = {**VALID, "id": str(uuid4())}
    answers = [site.post(sale) for _ in range(2)]
    assert [(answer.status, answer.json()["id"]) for answer in answers] == [(202, sale["id"])] * 2
    assert site.by_django == []
    other = site.post({**sale, "cantidad": 2})
    assert other.status == 422
    assert other.content == site.post({**sale, "cantidad": 2}, path=f"{VENTAS}?a=1").content


def test_sales_at_the_same_moment_are_claimed_once_each(site: Site) -> None:
    sale, again = {**VALID, "id": str(uuid4())}, {**VALID, "cantidad": 2}
    many = [VALID] * 40 + [sale] * 3 + [{**again, "id": sale["id"]}] + [{}]
    answers = site.post_all(many)
    assert [answer.status for answer in answers[:40]] == [202] * 40
    assert len({answer.json()["id"] for answer in answers[:40]}) == 40
    same = [answer.status for answer in answers[40:44]]
    assert sorted(same) in ([202, 202, 202, 422], [202, 422, 422, 422])  # whichever content came first
    assert answers[44].status == 400


def test_a_voided_token_claims_nothing(site: Site, maestro: Usuario) -> None:
    assert [site.post(own()).status for _ in range(3)] == [202] * 3
    assert site.by_django == []
    Claim.objects.all().delete()
    credenciales.revocar(maestro)
    assert site.post(own()).status == 401
    assert not Claim.objects.exists()


def test_without_a_database_the_answer_is_503(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sessions have ended, and it takes no new ones; afterwards the same sale is accepted."""
    sale = own()
    assert site.post(own()).status == 202
    with monkeypatch.context() as broken:
        broken.setitem(connections.settings["default"], "PORT", free_port())
        end_sessions()
        connection.close()  # this test's own one was ended, too
        answer = site.post(sale)
    assert (answer.status, int(answer.headers["retry-after"]) > 0) == (503, True)
    assert site.post(sale).json() == {"id": sale["id"]}


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        (TOKENS, OperationalError("gone")),
        (PUBLISH, Unavailable("neither")),
        (PUBLISH, InterfaceError("gone")),
    ],
    ids=["no-database", "neither", "database-lost"],
)
def test_without_service_the_answer_is_503(
    site: Site, monkeypatch: pytest.MonkeyPatch, failing: str, error: Exception
) -> None:
    """The error is told once: Django does not try the same again."""

    def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(failing, fails)
    answer = site.post(VALID, traceparent=f"00-{'c' * 32}-{'d' * 16}-01")
    assert (answer.status, int(answer.headers["retry-after"]) > 0) == (503, True)
    assert "detail" in answer.json()
    assert answer.headers["traceparent"].split("-")[1] == "c" * 32


def test_a_silent_database_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sale ahead holds the only thread; both are answered in time."""
    gate = threading.Event()
    monkeypatch.setattr(sales, "DATABASE_SECONDS", 0.2)
    monkeypatch.setattr(TOKENS, lambda tokens: gate.wait(SECONDS) and {})
    try:
        assert [answer.status for answer in site.post_all([VALID, VALID])] == [503, 503]
    finally:
        gate.set()


def test_a_refusal_waits_for_no_other_request(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of Django's threads wait for the database; a sale that has failed is told at once."""

    def fails(*_: Any) -> Any:
        raise OperationalError("gone")

    gate = threading.Event()
    busy = site.threads.executor.submit(gate.wait, SECONDS)
    monkeypatch.setattr(TOKENS, fails)
    assert site.post(VALID).status == 503
    assert not busy.done()
    gate.set()


def test_one_sale_too_many_is_refused_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Django says how the first one is refused; the next ones cost no thread."""
    monkeypatch.setattr(sales, "MOST_WAITING", 3)
    first, second = (site.post_all([VALID] * 5) for _ in range(2))
    for answers in (first, second):
        assert sorted(answer.status for answer in answers) == [202, 202, 202, 503, 503]
    assert site.by_django
    site.by_django.clear()
    counted = sample(ANSWERED, {"status": "503"} | OF_SALES)
    [refused] = [answer for answer in site.post_all([VALID] * 4) if answer.status == 503]
    assert not site.by_django
    assert sample(ANSWERED, {"status": "503"} | OF_SALES) == counted + 1
    by_django = next(answer for answer in first if answer.status == 503)
    assert refused.lasting == by_django.lasting
    assert refused.headers["traceparent"] != by_django.headers["traceparent"]
    assert refused.content == by_django.content
    assert int(refused.headers["retry-after"]) > 0
    assert site.post(VALID).status == 202


def test_one_request_too_many_is_refused_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists go through Django's threads; a probe does not wait for these."""
    monkeypatch.setattr(threads, "MOST_IN_LINE", 0)
    gate = threading.Event()
    site.threads.executor.submit(gate.wait, SECONDS)

    async def ask() -> tuple[Answer, Answer, Answer]:
        waits = asyncio.create_task(site._post([VALID], {}))
        await asyncio.sleep(0)  # lets the first one begin
        refused = await site._post([VALID], {})
        assert not waits.done()
        probe = await site._post({}, {"path": "/health/live"})
        assert not waits.done()
        gate.set()
        return await waits, refused, probe

    accepted, refused, probe = asyncio.run(ask())
    assert (accepted.status, refused.status) == (202, 503)
    assert "demasiada gente" in refused.json()["detail"]
    assert int(refused.headers["content-length"]) == len(refused.content)
    assert int(refused.headers["retry-after"]) > 0
    assert probe.status == 200


def test_a_request_is_refused_when_no_thread_is_free_in_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request that has the thread keeps it, and afterwards the next one gets the thread."""
    monkeypatch.setattr(threads, "THREAD_SECONDS", 0.1)
    gate = threading.Event()
    site.threads.executor.submit(gate.wait, SECONDS)

    async def ask() -> tuple[Answer, Answer]:
        slow = asyncio.create_task(site._post([VALID], {}))
        await asyncio.sleep(0)  # lets the first one begin
        refused = await site._post([VALID], {})
        gate.set()
        return await slow, refused

    slow, refused = asyncio.run(ask())
    assert (slow.status, refused.status) == (202, 503)
    assert "demasiada gente" in refused.json()["detail"]
    assert site.post([VALID]).status == 202


def test_a_kind_that_is_forgotten_meanwhile_is_answered(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other kinds may take its place while the sale is published."""

    async def forgetting(*events: Any) -> None:
        await apublish(*events)
        site.application.answers.clear()

    monkeypatch.setattr(PUBLISH, forgetting)
    assert site.post(VALID).status == 202
    assert not site.by_django


def test_an_error_of_ours_is_a_500(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(PUBLISH, fails)
        answer = site.post(VALID)
    assert (answer.status, list(answer.json())) == (500, ["detail"])
    monkeypatch.setattr(TOKENS, fails)
    assert site.post(VALID).status == 202, "Django tries alone"


def test_a_torn_body_is_no_sale(site: Site) -> None:
    """Neither on the event loop nor by Django, whose part of the body would be a valid form."""
    answers: list[Message] = []

    async def send(content_type: bytes, path: str) -> None:
        headers = [
            (b"host", b"testserver"),
            (b"content-type", content_type),
            (b"content-length", b"100"),
            (b"authorization", f"Bearer {site.token}".encode()),
        ]
        events: list[Message] = [
            {"type": "http.request", "body": b'{"producto": "mediano", "cantidad": 1}', "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Message:
            return events.pop(0)

        async def take(message: Message) -> None:
            answers.append(message)

        scope = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": path}
        await site.application({**scope, "query_string": b"", "headers": headers}, receive, take)

    before = published()
    asyncio.run(send(b"application/json", VENTAS))
    assert answers == []
    asyncio.run(send(b"application/json", VENTAS.rstrip("/")))
    assert [answer.get("status") for answer in answers[:1]] == [400]
    assert published() == before


def published() -> float:
    return sum(sample(f"{PUBLISHED._name}_total", {"way": way}) for way in ("kafka", "outbox"))


def sample(name: str, labels: dict[str, str]) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_direct_sale_is_counted_as_django_counts(site: Site) -> None:
    counters: list[Callable[[], float]] = [
        lambda: sample(ANSWERED, {"status": "202"} | OF_SALES),
        lambda: sample("django_http_requests_latency_seconds_by_view_method_count", OF_SALES),
        lambda: sample("django_http_requests_before_middlewares_total", {}),
        lambda: sample("django_http_responses_before_middlewares_total", {}),
        lambda: sample("django_http_requests_body_total_bytes_count", {}),
        lambda: sample("django_http_responses_body_total_bytes_count", {}),
        published,
    ]
    before = [counter() for counter in counters]
    site.post(VALID, path=f"{VENTAS}?a=1")
    between = [counter() for counter in counters]
    site.post(VALID)
    after = [counter() for counter in counters]
    by_django = [now - then for now, then in zip(between, before, strict=True)]
    assert by_django == [now - then for now, then in zip(after, between, strict=True)] == [1.0] * len(counters)


def test_kinds_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest one is forgotten, and learned again."""
    monkeypatch.setattr(sales, "MOST_KINDS", 1)
    for accept in ("*/*", "application/json"):
        assert [site.post(VALID, accept=accept).status for _ in range(2)] == [202, 202]
    assert len(site.by_django) == 2
    assert len(site.application.answers) == 1


def test_one_bad_sale_spoils_no_other(site: Site, maestro: Usuario) -> None:
    """What the event loop did not foresee is Django's to judge, sale by sale."""
    with transaction.atomic():
        strange = Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4(), zona="Nowhere/City")
        token = credenciales.emitir(strange)
    assert Lookup().events_of([Sent(site.token, VALID), Sent(token, VALID)]) == [None, None]
    assert site.post(VALID).status == 202


def test_a_client_that_goes_away_stops_no_publishing(site: Site) -> None:
    [event] = Lookup().events_of([Sent(site.token, VALID)])
    assert event
    before = published()

    async def leave() -> None:
        task = asyncio.create_task(site.application._publish(event))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.gather(*site.application.publishing)

    asyncio.run(leave())
    assert published() == before + 1
    assert site.application.publishing == set()
