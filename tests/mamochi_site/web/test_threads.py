"""Django in threads: nothing runs ahead, and no thread waits for a client that has gone."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from mamochi_site.web import threads
from mamochi_site.web.threads import FULL, InThreads, Message
from tests.support.sandbox import SECONDS

PARTS = 100


class Download:
    """A WSGI application that answers in PARTS; `made` counts them, `closed` is set at the end."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = threading.Event()
        self.environ: dict[str, Any] = {}

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.environ = environ
        start_response("200 OK", [("Content-Type", "text/csv")])
        return self.parts()

    def parts(self) -> Iterator[bytes]:
        try:
            for _ in range(PARTS):
                self.made += 1
                yield b"x" * 1_000
        finally:
            self.closed.set()


@pytest.fixture
def download() -> Download:
    return Download()


@pytest.fixture
def site(download: Download) -> Iterator[InThreads]:
    made = InThreads(download, workers=1)
    yield made
    made.executor.shutdown()


def call(site: InThreads, send: Callable[[Message], Any], **scope: Any) -> Any:
    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    plain = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    return site({**plain, **scope}, receive, send)


def test_parts_are_made_as_they_are_taken(site: InThreads, download: Download) -> None:
    ahead = []
    taken: list[Message] = []

    async def send(message: Message) -> None:
        taken.append(message)
        await asyncio.sleep(0.001)  # a slow client
        ahead.append(download.made - sum(len(one.get("body", b"")) for one in taken) // 1_000)

    asyncio.run(call(site, send))
    assert taken[0]["type"] == "http.response.start"
    assert b"".join(one.get("body", b"") for one in taken) == b"x" * 1_000 * PARTS
    assert max(ahead) <= 1
    assert not taken[-1].get("more_body")


def test_a_client_that_goes_away_frees_the_thread(site: InThreads, download: Download) -> None:
    """The server cancels the request, and takes what is still sent without doing anything."""

    async def leave() -> None:
        taken = asyncio.Event()

        async def send(_: Message) -> None:
            taken.set()
            await asyncio.sleep(0)

        task = asyncio.create_task(call(site, send))
        await taken.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(download.closed.wait, SECONDS)

    asyncio.run(leave())


def test_a_thread_is_not_free_while_it_works_for_a_client_that_has_gone(
    site: InThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next request is refused in time. It does not wait for that thread without a limit."""
    monkeypatch.setattr(threads, "THREAD_SECONDS", 0.1)
    begun, gate, refused = threading.Event(), threading.Event(), []

    def slow(environ: Any, start_response: Any) -> Iterable[bytes]:
        refused.append(FULL in environ["asgi.scope"])
        if environ["PATH_INFO"] == "/slow":
            begun.set()
            assert gate.wait(SECONDS)
        start_response("200 OK", [])
        return []

    site.app = slow

    async def send(_: Message) -> None:
        await asyncio.sleep(0)

    async def leave() -> None:
        left = asyncio.create_task(call(site, send, path="/slow"))
        assert await asyncio.to_thread(begun.wait, SECONDS)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        await call(site, send)
        gate.set()
        while site.running:
            await asyncio.sleep(0.01)  # until the thread has ended
        await call(site, send)

    asyncio.run(leave())
    assert refused == [False, True, False]


def test_an_address_may_have_any_bytes(site: InThreads, download: Download) -> None:
    async def send(_: Message) -> None:
        await asyncio.sleep(0)

    asyncio.run(call(site, send, query_string=b"q=\xff\xc3\xb1"))
    assert download.environ["QUERY_STRING"].encode("latin-1") == b"q=\xff\xc3\xb1"


def test_an_error_of_the_application_is_the_servers_to_answer(site: InThreads) -> None:
    def fails(_environ: Any, _start_response: Any) -> Iterable[bytes]:
        raise ZeroDivisionError

    site.app = fails

    async def send(_: Message) -> None:
        await asyncio.sleep(0)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(call(site, send))
