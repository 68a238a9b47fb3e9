"""Django behind an ASGI server: its WSGI application in threads, by a2wsgi."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final

from a2wsgi.wsgi import Body, WSGIMiddleware, WSGIResponder, build_environ

from gremio.api.requests import FALLO
from kafka_bridge.telemetry.middleware import PROBES
from mamochi_site.web.patience import THREAD_SECONDS

FULL: Final = "mamochi_site.full"  # key in the ASGI scope of a request that is refused
MOST_IN_LINE: Final = 42  # requests that wait for a thread; with those in the eight threads, 50

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class InThreads(WSGIMiddleware):
    """a2wsgi's middleware with the responder below.

    a2wsgi's own one puts a response into a queue. When the client goes away during a long download,
    nothing empties the queue any more, and the thread waits until the process ends.

    While MOST_IN_LINE requests wait for a thread, Django refuses the next ones at once (ADR 52). A
    request that has waited THREAD_SECONDS is refused, too (ADR 54). Refusals and probes have
    threads of their own, which never wait for requests that wait for the database: otherwise a busy
    process would be taken for a broken one.
    """

    def __init__(self, app: Any, workers: int) -> None:
        super().__init__(app, workers)
        self.free = asyncio.Semaphore(workers)  # threads
        self.in_line = 0
        self.running: set[asyncio.Task[None]] = set()
        self.refusals = ThreadPoolExecutor(1, thread_name_prefix="refusals")
        self.probes = ThreadPoolExecutor(2, thread_name_prefix="probes")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request by Django, in a thread."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif FALLO in scope:
            await self._answer(self.refusals, scope, receive, send)
        elif scope["path"].startswith(PROBES):
            await self._answer(self.probes, scope, receive, send)
        elif await self._has_thread():
            await self._answer_and_free(scope, receive, send)
        else:
            await self._answer(self.refusals, {**scope, FULL: True}, receive, send)

    async def _has_thread(self) -> bool:
        """Wait until a thread is free and take it. Return False if THREAD_SECONDS pass first."""
        if self.free.locked() and self.in_line >= MOST_IN_LINE:
            return False
        self.in_line += 1
        try:
            async with asyncio.timeout(THREAD_SECONDS):
                return await self.free.acquire()
        except TimeoutError:
            return False
        finally:
            self.in_line -= 1

    async def _answer_and_free(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer in a thread, and free the thread at its end, even if the request is cancelled.

        The server cancels a request whose client has gone, which does not stop the thread.
        """
        task = asyncio.create_task(self._answer(self.executor, scope, receive, send))
        self.running.add(task)
        task.add_done_callback(self._free)
        await asyncio.shield(task)

    def _free(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        self.free.release()

    async def _answer(self, executor: ThreadPoolExecutor, scope: Any, receive: Any, send: Any) -> None:
        await _Responder(self.app, executor, self.send_queue_size)(scope, receive, send)


class _Responder(WSGIResponder):
    """Sends each part of a response itself, and waits until the server has taken the part."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asgi_send = send
        self.start: Message | None = None
        plain: Any = {**scope, "query_string": b""}
        environ: Any = build_environ(plain, Body(self.loop, _torn_body_raises(receive)))
        environ["QUERY_STRING"] = scope["query_string"].decode("latin-1")  # a2wsgi knows ASCII only
        environ["wsgi.input_terminated"] = True
        run = copy_context().run
        await self.loop.run_in_executor(self.executor, run, self.wsgi, environ, self.start_response)

    def send(self, message: Any) -> None:
        """Send from the thread; the beginning of a response goes with its first part."""
        if message["type"] == "http.response.start":
            self.start = message
            return
        start, self.start = self.start, None
        asyncio.run_coroutine_threadsafe(self._send([start, message] if start else [message]), self.loop).result()

    async def _send(self, messages: list[Message]) -> None:
        for message in messages:
            await self.asgi_send(message)


def _torn_body_raises(receive: Any) -> Any:
    """Return a `receive` that raises ConnectionError if the client goes before its body has ended.

    Otherwise a2wsgi takes the part that has come for the whole.
    """

    async def received() -> Message:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client has gone before the end of its body")
        return message

    return received
