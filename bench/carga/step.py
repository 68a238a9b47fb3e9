"""One step of `bench carga`: some seconds of sales, and what became of them."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Final

from django.db import connection

from bench import cpu
from bench.openloop.load import ACCEPTED, Sent, send
from bench.openloop.orders import MEAN_SECONDS, Maestro, orders
from bench.openloop.summary import CPU_OF, GENERATOR, Point
from bench.openloop.watch import watching
from bench.system import Http
from deploy.embedded.waiting import wait_until
from kafka_bridge.consuming import progress
from ventas.events import VENTAS

SETTLE_SECONDS: Final = 300.0
SAMPLES_PER_SECOND: Final = 100.0  # of sales whose rows are waited for
BY_SHARE: Final = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}


@dataclass(frozen=True)
class Plan:
    """`rate`: sales per second; each maestro sells every six seconds."""

    rate: float
    seconds: float
    seed: int

    @property
    def maestros(self) -> int:
        return round(self.rate * MEAN_SECONDS)


def measure(web: Http, maestros: Sequence[Maestro], plan: Plan, url: str) -> tuple[Point, Sent]:
    """Carry a step out and wait until all that it left is done; return its figures.

    Times are in ms. `cores` are those used while the maestros sold; CPU per sale is of the whole
    step, the work that was left included.
    """
    sent = Sent()
    sellers = maestros[: plan.maestros]
    watchers = watching(url, sent, every=max(1, round(plan.rate / SAMPLES_PER_SECOND)))
    before = cpu.seconds(web.pids)
    send(web.port, sellers, orders(sellers, random.Random(plan.seed), plan.seconds), sent)
    while_selling = sum(cpu.seconds(web.pids).values()) - sum(before.values())
    waiting, ended = left(), time.perf_counter()
    wait_until(lambda: all(watcher.all_arrived for watcher in watchers) and not left(), SETTLE_SECONDS, interval=0.1)
    settled = sent.answered_after - sent.seconds + time.perf_counter() - ended
    used = {name: seconds - before.get(name, 0.0) for name, seconds in cpu.seconds(web.pids).items()}
    for watcher in watchers:
        watcher.stop()
        used["postgresql"] -= watcher.cpu
    rows, notices = (watcher.waits for watcher in watchers)
    accepted = len(sent.sales)
    point = {
        "asked per second": sum(map(len, sent.answers.values())) / plan.seconds,
        "accepted per second": accepted / plan.seconds,
        "429": sent.statuses[429],
        "503": sent.statuses[503],
        "no answer": sent.statuses[0],
        "other answers": sum(sent.statuses.values()) - sum(sent.statuses[status] for status in (0, ACCEPTED, 429, 503)),
        "without Retry-After": sent.without_retry_after,
        "messages waiting at the end": waiting,
        "seconds until nothing waited": settled,
        GENERATOR: sent.generator_cpu / sent.answered_after,
        "cores": while_selling / sent.answered_after,
        "CPU per sale": 1_000 * sum(used.values()) / max(1, accepted),
        **{f"{CPU_OF}{name}": 1_000 * seconds / max(1, accepted) for name, seconds in used.items()},
        **shares("answer", sent.times()),
        **shares("row", rows),
        **shares("restock", notices),
    }
    return point, sent


def left() -> int:
    """Return how many messages wait: in the outbox, or for a consumer of sales."""
    ends = progress.topic_ends(VENTAS.name)
    lacking = (progress.remaining(name, VENTAS.name, ends) for name in ("contabilidad", "inventario"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kafka_bridge_outboxmessage")
        return sum(sum(each.values()) for each in lacking) + int(cursor.fetchone()[0])


def shares(name: str, times: Sequence[float]) -> Point:
    """Return the times below which 50, 95, 99 and 99.9 % of them are, and the longest."""
    if len(times) < 2:
        return {}
    cuts = quantiles(times, n=1_000, method="inclusive")
    return {f"{name}, {label}": cuts[round(10 * share) - 1] for label, share in BY_SHARE.items()} | {
        f"{name}, max": max(times)
    }
