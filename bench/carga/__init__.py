"""How many maestros the system carries: an open load over the API, stepped until it is too much.

Each maestro sells every 5 to 7 s and runs out every ten sales; every other time the maestro says
so, and the other times the automatic notice does. A step is carried if nearly all its sales are
accepted, p99 of the answer is at most 250 ms, and p99 from the 202 to the row at most 2 s. The knee
is the greatest rate that is carried, as are all rates below (medians of the rounds).
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from typing import Final

from django.conf import settings

from bench.carga.audit import audit
from bench.carga.step import BY_SHARE, Plan, left, measure
from bench.openloop.carts import open_carts
from bench.openloop.load import Sent, send
from bench.openloop.orders import MEAN_SECONDS, SALES_PER_CART, Maestro, numbers, steadily
from bench.openloop.summary import (
    GENERATOR,
    MOST_ANSWER_MS,
    MOST_ROW_MS,
    Point,
    is_carried,
    knee,
    medians,
    reason,
)
from bench.result import Result, Say
from bench.system import EVERYTHING, Http, running
from deploy.embedded.waiting import wait_until

SUMMARY: Final = "how many maestros, who sell every 6 s, the system carries: an open load, stepped until it is too much"
RATES: Final = (20.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 600.0, 800.0)
SECONDS, ROUNDS, SEED = 20.0, 3, 1
WARM_UP_PER_SECOND: Final = 400.0
FIRST, FIRST_PER_SECOND = 40, 20.0
LIMIT: Final = 500.0  # sales per second: 3,000 maestros
BEYOND: Final = 2  # steps after the knee, which show what is too much


def arguments(rest: Sequence[str]) -> argparse.Namespace:
    """Parse this benchmark's own options."""
    parser = argparse.ArgumentParser(prog="./dev bench carga", description=SUMMARY)
    parser.add_argument("--rates", type=numbers, default=RATES, help="sales per second, with commas between")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each step (default: {SECONDS:g})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of all steps (default: {ROUNDS})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the maestros' moments (default: {SEED})")
    return parser.parse_args(rest)


def run(say: Say, options: argparse.Namespace) -> Result:
    """Step the load in rounds, and audit all of it. The ratio is the knee over LIMIT."""
    loads: list[Sent] = []
    points: list[Point] = []
    with running(*EVERYTHING) as web:
        maestros = open_carts(Plan(max(options.rates), options.seconds, options.seed).maestros)
        say(f"{len(maestros):,} maestros have opened their carts")
        loads.append(spread(web, maestros))
        for number in range(1, options.rounds + 1):
            for point, sent in _round(web, maestros, options, number):
                points.append(point)
                loads.append(sent)
                say(f"round {number}/{options.rounds}: {_line(point)}")
        say("the week is closed")
        audited = audit(loads)
    return _result(points, audited, options)


def spread(web: Http, maestros: Sequence[Maestro]) -> Sent:
    """Let the maestros sell until their carts have different stocks, as on any day."""
    sent = Sent()
    # Each broker costs, so that two cores carry fewer sales with three of them.
    per_second = WARM_UP_PER_SECOND / len(settings.KAFKA_CLIENT_CONFIG["bootstrap.servers"].split(","))
    first = maestros[:FIRST]  # each web process learns from its first sale how Django answers
    send(web.port, first, steadily(first, FIRST_PER_SECOND, len(first) / FIRST_PER_SECOND), sent)
    for maestro in first:
        maestro.sold += 1
    for already in range(SALES_PER_CART - 1):
        sellers = [maestro for index, maestro in enumerate(maestros) if index % SALES_PER_CART > already]
        send(web.port, sellers, steadily(sellers, per_second, len(sellers) / per_second), sent)
        for maestro in sellers:
            maestro.sold += 1
    for maestro in maestros[::2]:
        maestro.sold += SALES_PER_CART  # every second one sends a notice the next time
    sent.check()
    wait_until(lambda: not left(), 120, what="the consumers have applied the first sales", interval=0.5)
    return sent


def _round(
    web: Http, maestros: Sequence[Maestro], options: argparse.Namespace, number: int
) -> Iterator[tuple[Point, Sent]]:
    """Yield each step's figures and load, until BEYOND steps were too much."""
    too_much = 0
    for rate in options.rates:
        point, sent = measure(web, maestros, Plan(rate, options.seconds, options.seed + number), database_url())
        yield {"round": number, "rate": rate} | point, sent
        too_much += not is_carried(point)
        if too_much == BEYOND:
            return
        time.sleep(1)  # what a step leaves to do outside of the messages, such as commits to Kafka


def database_url() -> str:
    """Return the URL of the stack's database."""
    return os.environ["DATABASE_URL"]


def _line(point: Point) -> str:
    told = {
        "answer p99": f"{point.get('answer, p99', 0):,.0f} ms",
        "row p99": f"{point.get('row, p99', 0):,.0f} ms",
        "restock p99": f"{point.get('restock, p99', 0):,.0f} ms",
        "429": f"{point['429']:,.0f}",
        "503": f"{point['503']:,.0f}",
        "no answer": f"{point['no answer']:,.0f}",
        "left": f"{point['messages waiting at the end']:,.0f}",
        "cores": f"{point['cores']:.2f} + {point[GENERATOR]:.2f}",
        "CPU per sale": f"{point['CPU per sale']:.1f} ms",
    }
    return f"{point['accepted per second']:,.0f}/s of {point['asked per second']:,.0f}; " + ", ".join(
        f"{name} {text}" for name, text in told.items()
    )


def _result(points: list[Point], audited: dict[str, float], options: argparse.Namespace) -> Result:
    steps = medians(points)
    last = knee(steps)
    figures = {
        f"{name} at {rate:g}/s, {share}": each
        for rate in sorted({point["rate"] for point in points})
        for name in ("answer", "row", "restock")
        for share in BY_SHARE
        if (each := [point[key] for point in points if point["rate"] == rate and (key := f"{name}, {share}") in point])
    }
    rate = last["rate"] if last else 0.0
    also = {"knee, sales per second": rate, "knee, maestros": rate * MEAN_SECONDS}
    also |= {f"audit: {name}": count for name, count in audited.items()}
    settings = {
        "seconds": options.seconds,
        "rounds": options.rounds,
        "seed": options.seed,
        "most ms to the answer, p99": MOST_ANSWER_MS,
        "most ms to the row, p99": MOST_ROW_MS,
        "reason": reason(steps, last),
    }
    return Result("carga", SUMMARY, "ms", figures, rate / LIMIT, f"knee over {LIMIT:g} sales/s", also, points, settings)
