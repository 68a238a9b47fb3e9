"""Questions that come at the same time are answered by one call."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from kafka_bridge import together
from kafka_bridge.together import Together
from tests.support.sandbox import SECONDS


class Panic(BaseException):
    """What a library in Rust raises when it panics."""


class Counter:
    """Doubles numbers; `calls` has how many each call was asked, and `gate` holds a call up."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append(len(numbers))
        assert self.gate.wait(SECONDS)
        if -1 in numbers:
            raise ValueError("minus one")
        if -2 in numbers:
            raise Panic
        return [2 * number for number in numbers]


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def asked(counter: Counter) -> Iterator[Together[int, int]]:
    made = Together(counter)
    yield made
    made.close()


async def first_call_of(counter: Counter) -> None:
    while not counter.calls:
        await asyncio.sleep(0.001)


def test_what_comes_together_is_one_call(asked: Together[int, int], counter: Counter) -> None:
    async def ask() -> list[int]:
        return await asyncio.gather(*map(asked.ask, range(50)))

    assert asyncio.run(ask()) == [2 * number for number in range(50)]
    assert counter.calls == [50]


def test_what_comes_during_a_call_is_the_next_call(asked: Together[int, int], counter: Counter) -> None:
    counter.gate.clear()

    async def ask() -> list[int]:
        first = asyncio.create_task(asked.ask(1))
        await first_call_of(counter)
        others = [asyncio.create_task(asked.ask(number)) for number in (2, 3, 4)]
        await asyncio.sleep(0)
        counter.gate.set()
        return [await one for one in (first, *others)]

    assert asyncio.run(ask()) == [2, 4, 6, 8]
    assert counter.calls == [1, 3]


def test_a_call_has_a_limit(asked: Together[int, int], counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "MOST", 20)

    async def ask() -> list[int]:
        return await asyncio.gather(*map(asked.ask, range(50)))

    assert asyncio.run(ask()) == [2 * number for number in range(50)]
    assert counter.calls == [20, 20, 10]


def test_an_error_is_told_to_each_and_ends_nothing(asked: Together[int, int]) -> None:
    async def ask() -> list[int | BaseException]:
        return await asyncio.gather(*map(asked.ask, (1, -1, 2)), return_exceptions=True)

    assert [str(one) for one in asyncio.run(ask())] == ["minus one"] * 3
    assert asyncio.run(asked.ask(4)) == 8


def test_a_panic_does_not_end_the_thread(asked: Together[int, int]) -> None:
    with pytest.raises(Panic):
        asyncio.run(asyncio.wait_for(asked.ask(-2), SECONDS))
    assert asyncio.run(asyncio.wait_for(asked.ask(4), SECONDS)) == 8


def test_questions_of_who_has_left_are_not_asked(asked: Together[int, int], counter: Counter) -> None:
    counter.gate.clear()

    async def ask() -> int:
        first = asyncio.create_task(asked.ask(1))
        await first_call_of(counter)
        gone = [asyncio.create_task(asked.ask(number)) for number in range(50)]
        await asyncio.sleep(0)
        for one in gone:
            one.cancel()
        counter.gate.set()
        await first
        return await asked.ask(2)

    assert asyncio.run(ask()) == 4
    assert counter.calls == [1, 1]


def test_who_leaves_holds_up_no_other(asked: Together[int, int], counter: Counter) -> None:
    counter.gate.clear()

    async def ask() -> int:
        gone = asyncio.create_task(asked.ask(1))
        await first_call_of(counter)
        gone.cancel()
        stays = asyncio.create_task(asked.ask(2))
        await asyncio.sleep(0)
        counter.gate.set()
        return await stays

    assert asyncio.run(ask()) == 4
