"""Apply the same sales with two consumers: `contabilidad` (accounts) and `inventario` (stock)."""

import gc
from statistics import median

from django.apps import apps
from django.db import connection

from bench import sales
from bench.result import Result, Say
from kafka_bridge.consuming.handlers import consumers
from stock.seed import sembrar

SUMMARY = "inventario's sales per second against contabilidad's, from the same topic"
SALES, ROUNDS = 100_000, 5


def run(say: Say) -> Result:
    """Run both consumers in alternating rounds; the ratio is of the medians."""
    sembrar(apps)
    say(f"filling the topic with {SALES:,} sales")
    sales.fill_topic(SALES)
    # run_consumer does this too.
    gc.freeze()
    rounds: dict[str, list[float]] = {"inventario": [], "contabilidad": []}
    for number in range(1, ROUNDS + 1):
        for name, rates in rounds.items():
            empty_tables()
            rates.append(sales.messages_per_second(consumers[name], SALES))
            say(f"round {number}/{ROUNDS}: {name} {rates[-1]:,.0f} sales/s")
    ratio = median(rounds["inventario"]) / median(rounds["contabilidad"])
    return Result("inventario", SUMMARY, "sales/s", rounds, ratio, "inventario over contabilidad")


def empty_tables() -> None:
    sales.empty_ledger()
    sales.forget_offsets()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE stock_carro CASCADE")
        cursor.execute("TRUNCATE kafka_bridge_outboxmessage")
