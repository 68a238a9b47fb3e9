"""A consumer's resident memory over a million sales: it must not grow with the backlog."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from django.db.models import Sum

from bench import sink
from bench.result import Result
from kafka_bridge.models import ConsumerOffset
from ventas.events import VENTAS

SUMMARY = "contabilidad's resident memory, in a process of its own, every 100,000 of 1,000,000 waiting sales"
SALES, EVERY = 1_000_000, 100_000
CHECKOUT = Path(__file__).resolve().parents[1]
Say = Callable[[str], None]


@contextmanager
def contabilidad() -> Iterator[psutil.Process]:
    """As production runs it."""
    command = [sys.executable, "manage.py", "run_consumer", "contabilidad"]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def applied() -> int:
    rows = ConsumerOffset.objects.filter(consumer="contabilidad", topic=VENTAS.name)
    return rows.aggregate(applied=Sum("next_offset"))["applied"] or 0


def run(say: Say) -> Result:
    """The ratio is the first sample over the largest: 0.91 or more is flat within 10 %."""
    say(f"filling the topic with {SALES:,} sales")
    sink.fill(SALES)
    sink.empty_ledger()
    ConsumerOffset.objects.all().delete()
    samples: list[float] = []
    with contabilidad() as process:
        while len(samples) < SALES // EVERY:
            if applied() < EVERY * (len(samples) + 1):
                time.sleep(0.02)
                continue
            samples.append(process.memory_info().rss / 2**20)  # raises where the consumer has ended
            say(f"{EVERY * len(samples):,} sales: {samples[-1]:.0f} MB")
    ratio = samples[0] / max(samples)
    return Result("memory", SUMMARY, "MB", {"resident": samples}, ratio, "first sample over the largest")
