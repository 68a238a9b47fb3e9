"""Questions that come at the same time, answered by one call: a group commit for an event loop."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Final, Generic, TypeVar

from django.db import connections

Q = TypeVar("Q")
A = TypeVar("A")

MOST: Final = 200  # questions of a call


class Together(Generic[Q, A]):
    """Answers questions by calls in a thread of its own, one call at a time.

    What comes during a call is the next call: the more is asked, the less a question costs, and
    a single question does not wait. `answer` returns one answer per question, in their order. If it
    raises, every question of that call raises the same error.
    """

    def __init__(self, answer: Callable[[Sequence[Q]], Sequence[A]]) -> None:
        self._answer = answer
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._is_busy = False
        # Not a ThreadPoolExecutor: its futures and locks cost more than most calls.
        self._calls: SimpleQueue[tuple[asyncio.AbstractEventLoop, list[tuple[Q, asyncio.Future[A]]]] | None]
        self._calls = SimpleQueue()
        self._thread: Thread | None = None

    async def ask(self, question: Q) -> A:
        """Return the answer to one question."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        self._waiting.append((question, future))
        if not self._is_busy:
            self._is_busy = True
            loop.call_soon(self._call, loop)  # not at once: what this turn of the loop brings comes along
        return await future

    def close(self) -> None:
        """Close the thread's database connection and end the thread, in tests."""
        if self._thread:
            self._calls.put(None)
            self._thread.join()
            self._thread = None

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = [(question, future) for question, future in self._waiting if not future.done()]
        batch, self._waiting = waiting[:MOST], waiting[MOST:]
        self._is_busy = bool(batch)
        if batch:
            if self._thread is None:  # only now, because no thread outlives a fork
                self._thread = Thread(target=self._run, name="together", daemon=True)
                self._thread.start()
            self._calls.put((loop, batch))

    def _run(self) -> None:
        """Answer one call after another, in the thread."""
        while call := self._calls.get():
            loop, batch = call
            answers: Sequence[A] | BaseException
            try:
                answers = self._answer([question for question, _ in batch])
            # Each question of this call raises the error.
            except BaseException as error:  # noqa: BLE001  # also a Rust library's panic, or later questions would wait without end
                answers = error
            with suppress(RuntimeError):  # the loop has ended, and its requests with it
                loop.call_soon_threadsafe(self._tell, loop, [future for _, future in batch], answers)
        connections.close_all()

    def _tell(
        self, loop: asyncio.AbstractEventLoop, futures: list[asyncio.Future[A]], answers: Sequence[A] | BaseException
    ) -> None:
        for index, future in enumerate(futures):
            if future.done():  # the client has gone
                continue
            if isinstance(answers, BaseException):
                future.set_exception(answers)
            else:
                future.set_result(answers[index])
        self._call(loop)
