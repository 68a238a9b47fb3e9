"""A consumer's resident memory over a million sales: it must not grow with the backlog."""

import gc
import threading
from collections.abc import Callable
from uuid import uuid4

import psutil

from bench import sink
from bench.result import Result
from kafka_bridge.batch import Record
from kafka_bridge.handlers import consumers
from kafka_bridge.models import ConsumerOffset
from kafka_bridge.runner import Runner

SUMMARY = "contabilidad's resident memory, sampled every 100,000 of 1,000,000 waiting sales"
SALES, EVERY = 1_000_000, 100_000
Say = Callable[[str], None]


class Sampled(Runner):
    """contabilidad, which notes its resident memory (MB) after each EVERY messages."""

    seen = 0

    def __init__(self, say: Say) -> None:
        super().__init__(consumers["contabilidad"], stop=threading.Event(), group=f"bench-{uuid4()}")
        self.say = say
        self.samples: list[float] = []

    def _apply(self, records: list[Record]) -> bool:
        done = super()._apply(records)
        self.seen += len(records) if done else 0
        if self.seen // EVERY > len(self.samples):
            self.samples.append(psutil.Process().memory_info().rss / 2**20)
            self.say(f"{self.seen:,} sales: {self.samples[-1]:.0f} MB")
        if self.seen >= SALES:
            self.stop.set()
        return done


def run(say: Say) -> Result:
    """The ratio is the first sample over the largest: 0.91 or more is flat within 10 %."""
    say(f"filling the topic with {SALES:,} sales")
    sink.fill(SALES)
    sink.empty_ledger()
    ConsumerOffset.objects.all().delete()
    gc.freeze()  # as run_consumer does
    runner = Sampled(say)
    runner.run()
    ratio = runner.samples[0] / max(runner.samples)
    return Result("memory", SUMMARY, "MB", {"resident": runner.samples}, ratio, "first sample over the largest")
