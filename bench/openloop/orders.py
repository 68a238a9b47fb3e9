"""When maestros sell and say that they ran out: the requests of a load, in the order of time."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import heapify, heapreplace
from typing import Final, NamedTuple
from uuid import UUID

SECONDS_BETWEEN_SALES: Final = (5.0, 7.0)  # of one maestro, uniformly (the evaluation scenario)
MEAN_SECONDS: Final = sum(SECONDS_BETWEEN_SALES) / 2
SALES_PER_CART: Final = 10


class Kind(StrEnum):
    SALE = "venta"
    NOTICE = "aviso"


class Order(NamedTuple):
    """A request that is due `due` seconds after the load began."""

    due: float
    maestro: int
    kind: Kind


@dataclass
class Maestro:
    """A maestro who sells. `sold` is how many sales this one has made."""

    id: UUID
    token: str
    sold: int = 0


def orders(maestros: Sequence[Maestro], chance: random.Random, seconds: float) -> Iterator[Order]:
    """Yield what each maestro does: a sale every 5 to 7 s, and a notice whenever a cart is empty.

    Every other time the maestro sends none, and the automatic notice fills the cart.
    """
    due = [(chance.uniform(0, MEAN_SECONDS), index) for index in range(len(maestros))]
    heapify(due)
    while due[0][0] < seconds:
        moment, index = due[0]
        maestro = maestros[index]
        yield Order(moment, index, Kind.SALE)
        maestro.sold += 1
        if maestro.sold % (2 * SALES_PER_CART) == 0:
            yield Order(moment, index, Kind.NOTICE)
        heapreplace(due, (moment + chance.uniform(*SECONDS_BETWEEN_SALES), index))


def steadily(maestros: Sequence[Maestro], per_second: float, seconds: float) -> Iterator[Order]:
    """Yield sales at equal distances; the maestros take turns."""
    for number in range(round(per_second * seconds)):
        yield Order(number / per_second, number % len(maestros), Kind.SALE)


def numbers(text: str) -> tuple[float, ...]:
    """Read an option such as `--rates 20,60`."""
    return tuple(map(float, text.split(",")))
