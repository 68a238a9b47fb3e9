"""A program's sales by POST on the event loop, past Django: less than half of the web's CPU.

Django needs a thread per request, and threads that wait take the interpreter from each other (ADR
37). Here a sale waits on the loop. Tokens and ids that come at the same time are looked up
together (lookup.py).

Nothing that Django decides is written a second time. The first sale of each kind goes through
Django, and the next ones get the headers of its answer. What is not plain goes to Django too:
another header, a form, a list, an error in the token or in the body. Nothing is published then.

While MOST_WAITING sales wait for the database, the next ones are refused at once (ADR 52).
"""

import asyncio
import re
import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse
from django.urls import resolve
from django_prometheus.middleware import PrometheusBeforeMiddleware
from rest_framework.exceptions import APIException

from gremio.api.json_parser import JSONParser
from gremio.api.requests import FALLO
from kafka_bridge.exceptions import Unavailable
from kafka_bridge.publishing.producer import apublish, process_producer
from kafka_bridge.telemetry import logs, traceparent
from kafka_bridge.telemetry.middleware import BEGAN, log_request
from kafka_bridge.together import Together
from mamochi_site.web.lookup import Lookup, Sent
from mamochi_site.web.metrics import CountRequests
from mamochi_site.web.patience import DATABASE_SECONDS
from mamochi_site.web.threads import Application, Message, Receive, Scope, Send
from ventas.events import VentaRegistrada

PATH: Final = "/api/v1/ventas/"
LARGEST_BODY: Final = 4_096  # bytes; a list or a long text is no plain sale
TOKEN: Final = re.compile(rb"Bearer (\w+)")
JSON: Final = b"application/json"
TRACE: Final = traceparent.HEADER.encode()
# Headers that may change Django's answer, and headers that do not. With any other, Django answers.
OF_A_KIND: Final = (b"host", b"accept", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port")
WITHOUT_EFFECT: Final = frozenset(
    b"accept-encoding accept-language cache-control connection content-length keep-alive pragma priority traceparent "
    b"sec-fetch-mode tracestate user-agent via x-forwarded-for x-forwarded-server x-real-ip x-request-id".split()
)
KNOWN: Final = WITHOUT_EFFECT | {*OF_A_KIND, b"authorization", b"content-type"}
OF_ONE_ANSWER: Final = frozenset((b"location", b"content-length", TRACE))
MOST_KINDS: Final = 100  # clients choose what is a kind; the oldest one is forgotten
MOST_WAITING: Final = 200  # sales of a process that wait for the database at the same time

Headers = Mapping[bytes, bytes]
Kind = tuple[Any, ...]
Known = TypeVar("Known")


class _Answer(NamedTuple):
    """Django's answer to the first sale of a kind, without what belongs to that sale."""

    headers: list[tuple[bytes, bytes]]
    location: bytes  # of all sales: an id and a slash are added


class _Response(NamedTuple):
    """What the middleware reads of a response; Django's own takes longer to make."""

    status_code: int
    content: bytes
    charset: str = "utf-8"
    streaming: bool = False


class _Refusal(NamedTuple):
    """Django's 503 to the first sale of a kind that was one too many."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


class _TooManySales(Unavailable):
    """More sales wait than this process lets wait; this one is not accepted."""


class DirectSales:
    """An ASGI application that accepts plain sales; `django` answers every other request."""

    def __init__(self, django: Application) -> None:
        self.django = django
        self.answers: dict[Kind, _Answer] = {}
        self.refusals: dict[Kind, _Refusal] = {}
        self.waiting = 0  # sales, for the database
        self.together = Together(Lookup().events_of)
        self.telemetry = _Telemetry()
        self.publishing: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let Django answer."""
        if scope["type"] == "lifespan":
            process_producer()  # connects now, and not when the first sale waits
        headers = _plain_headers(scope)
        if headers is None:
            await self.django(scope, receive, send)
            return
        kind = (scope["scheme"], *map(headers.get, OF_A_KIND))
        if kind in self.answers:
            await self._answer(scope, headers, kind, receive, send)
        else:
            await self.django(scope, receive, _Learner(self.answers, kind, send))

    async def _answer(self, scope: Scope, headers: Headers, kind: Kind, receive: Receive, send: Send) -> None:
        began, like = time.perf_counter(), self.answers[kind]  # which may be forgotten meanwhile
        body = await _read(receive)
        if body is None:  # the client has gone
            return
        trace_id = traceparent.trace_id_of(headers.get(TRACE))
        with traceparent.continued(trace_id), logs.collected_events() as published:
            answer = None
            try:
                if venta_id := await self._accept(headers, body):
                    answer = _accepted(like, venta_id)
            except _TooManySales as error:
                if refusal := self.refusals.get(kind):
                    answer = _refused(refusal)
                else:
                    scope = _with_error(scope, error, began)
                    send = _RefusalLearner(self.refusals, kind, send)
            except Exception as error:  # noqa: BLE001  # Django's view raises it, and answers as to its own
                scope = _with_error(scope, error, began)
            if answer is not None:
                await _send(send, *answer)
                self.telemetry.note(scope["scheme"], headers, answer.response, published, began)
                return
        await self.django(scope, _again(body, receive), send)

    async def _accept(self, headers: Headers, body: bytes) -> UUID | None:
        """Return the id of the sale, which is durable; None if Django must look at the request.

        Raises _TooManySales, and Unavailable if the database does not answer, or neither it nor
        Kafka takes the sale.
        """
        sent = _sent(headers, body)
        if sent is None:
            return None
        venta = await self._event_of(sent)
        if venta is None:
            return None
        await self._publish(venta)
        return venta.venta_id

    async def _event_of(self, sent: Sent) -> VentaRegistrada | None:
        """Return the event of the sale; None if Django must judge it.

        Raises _TooManySales if too many wait already, and Unavailable if the database is silent.
        """
        if self.waiting >= MOST_WAITING:
            raise _TooManySales(f"{self.waiting} sales wait for the database: retry later.")
        self.waiting += 1
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                return await self.together.ask(sent)
        except TimeoutError:
            raise Unavailable("The database does not answer: retry later.") from None
        finally:
            self.waiting -= 1

    async def _publish(self, venta: VentaRegistrada) -> None:
        """Publish to the end, even if the client goes away and the request is cancelled."""
        task = asyncio.create_task(apublish(venta))
        self.publishing.add(task)
        task.add_done_callback(self.publishing.discard)
        await asyncio.shield(task)


class _Learner:
    """Passes Django's answer on; if a sale was accepted, its headers are those of its kind."""

    def __init__(self, answers: dict[Kind, _Answer], kind: Kind, send: Send) -> None:
        self.answers = answers
        self.kind = kind
        self.send = send

    async def __call__(self, message: Message) -> None:
        headers = dict(message.get("headers", ()))
        site, found, _ = headers.get(b"location", b"").partition(PATH.encode())
        if message.get("status") == 202 and found and headers.get(b"content-type") == JSON:
            _remember(self.answers, self.kind, _Answer(_lasting(message), site + found))
        await self.send(message)


class _RefusalLearner:
    """Passes Django's refusal on, which is the answer to later sales of its kind."""

    def __init__(self, refusals: dict[Kind, _Refusal], kind: Kind, send: Send) -> None:
        self.refusals = refusals
        self.kind = kind
        self.send = send
        self.start: Message = {}
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")
            if self.start["status"] == 503 and not message.get("more_body"):
                _remember(self.refusals, self.kind, _Refusal(_lasting(self.start), self.body))
        await self.send(message)


def _remember(known: dict[Kind, Known], kind: Kind, answer: Known) -> None:
    if kind not in known and len(known) >= MOST_KINDS:
        del known[next(iter(known))]
    known[kind] = answer


def _lasting(start: Message) -> list[tuple[bytes, bytes]]:
    """Return the headers that are the same for each answer of a kind."""
    return [header for header in start["headers"] if header[0] not in OF_ONE_ANSWER]


class _Telemetry:
    """Counts and logs an answer as Django's middleware does."""

    def __init__(self) -> None:
        self.match = resolve(PATH)
        unused: Any = HttpResponse  # a middleware wants to know what comes after it
        self.before: Any = PrometheusBeforeMiddleware(unused)  # django-prometheus has no types
        self.after: Any = CountRequests(unused)
        self.requests: dict[tuple[str, bytes], Any] = {}  # by what tells their scheme; each is used again

    def note(self, scheme: str, headers: Headers, response: _Response, published: list[UUID], began: float) -> None:
        """Note an answer to a request that began at `began` (perf_counter)."""
        request = self._request(scheme, headers.get(b"x-forwarded-proto", b""))
        request.META["CONTENT_LENGTH"] = headers[b"content-length"].decode()
        self.before.process_request(request)
        self.after.process_request(request)
        self.after.process_view(request, self.match.func)
        request.prometheus_before_middleware_event = request.prometheus_after_middleware_event = began
        self.after.process_response(request, response)
        self.before.process_response(request, response)
        log_request(request, response.status_code, published, time.perf_counter() - began)

    def _request(self, scheme: str, proto: bytes) -> Any:
        """Return what the middleware reads of a request."""
        found: Any = self.requests.get((scheme, proto))
        if found is None:
            found = HttpRequest()
            found.method, found.resolver_match = "POST", self.match
            found._get_scheme = lambda: scheme
            if proto:
                found.META["HTTP_X_FORWARDED_PROTO"] = proto.decode("latin-1")
            _remember(self.requests, (scheme, proto), found)
        return found


def _plain_headers(scope: Scope) -> dict[bytes, bytes] | None:
    """Return the headers of what may be a plain sale in JSON, with a token; else None."""
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
        return None
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    plain = (
        len(headers) == len(scope["headers"])
        and headers.keys() <= KNOWN
        and headers.get(b"content-type") == JSON
        and b"authorization" in headers
        and length.isdigit()
        and int(length) <= LARGEST_BODY
        and not scope["query_string"]
        and not scope.get("root_path")
    )
    return headers if plain else None


async def _read(receive: Receive) -> bytes | None:
    """Return the body; None if the client has gone before its end."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


def _sent(headers: Headers, body: bytes) -> Sent | None:
    """Return token and sale; None if either is malformed."""
    token = TOKEN.fullmatch(headers[b"authorization"])
    try:
        datos = JSONParser().parse(BytesIO(body))
    except APIException:
        return None
    return Sent(token[1].decode(), datos) if token and isinstance(datos, dict) else None


class _Told(NamedTuple):
    """An answer from the event loop; `_send` adds the headers that each answer has of its own."""

    response: _Response
    headers: list[tuple[bytes, bytes]]


def _accepted(like: _Answer, venta_id: UUID) -> _Told:
    """Return the answer to a sale that is accepted."""
    location = (b"location", b"%s%s/" % (like.location, str(venta_id).encode()))
    return _Told(_Response(202, msgspec.json.encode({"id": venta_id})), [*like.headers, location])


def _refused(like: _Refusal) -> _Told:
    """Return the answer to a sale that is one too many."""
    return _Told(_Response(503, like.body), like.headers)


async def _send(send: Send, response: _Response, headers: list[tuple[bytes, bytes]]) -> None:
    own = [(b"content-length", str(len(response.content)).encode()), (TRACE, traceparent.current().encode())]
    await send({"type": "http.response.start", "status": response.status_code, "headers": [*headers, *own]})
    await send({"type": "http.response.body", "body": response.content})


def _with_error(scope: Scope, error: Exception, began: float) -> Scope:
    """Return the scope with which Django's view raises the error, in the same trace."""
    headers = [header for header in scope["headers"] if header[0] != TRACE]
    return {**scope, "headers": [*headers, (TRACE, traceparent.current().encode())], FALLO: error, BEGAN: began}


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that begins with the body that was read."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return messages.pop() if messages else await receive()

    return received
