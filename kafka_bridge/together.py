"""Questions that come at the same time, answered by one call: a group commit for an event loop."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="together")

    async def ask(self, question: Q) -> A:
        """Return the answer to one question."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        self._waiting.append((question, future))
        if not self._is_busy:
            self._is_busy = True
            loop.call_soon(self._call)  # not at once: what this turn of the loop brings comes along
        return await future

    def close(self) -> None:
        """Close the thread's database connection and end the thread, in tests."""
        self._thread.submit(connections.close_all)
        self._thread.shutdown()

    def _call(self) -> None:
        waiting = [(question, future) for question, future in self._waiting if not future.done()]
        batch, self._waiting = waiting[:MOST], waiting[MOST:]
        self._is_busy = bool(batch)
        if batch:
            call = asyncio.get_running_loop().run_in_executor(self._thread, self._answer, [one for one, _ in batch])
            call.add_done_callback(partial(self._tell, [future for _, future in batch]))

    def _tell(self, futures: list[asyncio.Future[A]], call: asyncio.Future[Sequence[A]]) -> None:
        error = call.exception()
        answers = [] if error else call.result()
        for index, future in enumerate(futures):
            if future.done():  # the client has gone
                continue
            if error:
                future.set_exception(error)
            else:
                future.set_result(answers[index])
        self._call()
