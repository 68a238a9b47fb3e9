"""A consumer's resident memory over a million sales: it must not grow with the backlog."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from bench import sales
from bench.helped import applied
from bench.result import Result, Say
from mamochi_site.local.system import CHECKOUT, manage

SUMMARY = "contabilidad's resident memory, in a separate process, every 100,000 of 1,000,000 waiting sales"
SALES, EVERY = 1_000_000, 100_000


def run(say: Say) -> Result:
    """Sample the memory while the consumer applies a backlog.

    The ratio is the first sample over the largest: from 0.91 on, the memory is flat within 10 %.
    """
    say(f"filling the topic with {SALES:,} sales")
    sales.fill_topic(SALES)
    sales.empty_ledger()
    sales.forget_offsets()
    samples: list[float] = []
    with contabilidad() as process:
        while len(samples) < SALES // EVERY:
            if applied() < EVERY * (len(samples) + 1):
                time.sleep(0.02)
                continue
            # Raises NoSuchProcess if the consumer has ended.
            samples.append(process.memory_info().rss / 2**20)
            say(f"{EVERY * len(samples):,} sales: {samples[-1]:.0f} MB")
    ratio = samples[0] / max(samples)
    return Result("memory", SUMMARY, "MB", {"resident": samples}, ratio, "first sample over the largest")


@contextmanager
def contabilidad() -> Iterator[psutil.Process]:
    """Run the consumer as production does."""
    command = manage("run_consumer", "contabilidad")
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)
