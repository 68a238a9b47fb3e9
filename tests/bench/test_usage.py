"""CPU by the processes of a running stack, also while processes end."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from bench import usage
from deploy.embedded.waiting import wait_until

# Children that work for 30 ms, one after the other.
CHURN = """
import subprocess, sys
while True:
    subprocess.run([sys.executable, "-S", "-c", "import time\\nwhile time.process_time() < 0.03: pass"])
"""
READINGS = 300  # without the second look at a parent, some of 300 are wrong


@pytest.fixture
def churn() -> Iterator[psutil.Process]:
    process = psutil.Popen([sys.executable, "-c", CHURN])
    yield process
    process.kill()
    process.wait()


@pytest.mark.chaos  # it takes a minute
def test_cpu_of_children_that_end_is_counted_once(churn: psutil.Process) -> None:
    record = {"pid": os.getpid(), "processes": {"churn": {"pid": churn.pid}}}
    readings = [round(usage.cpu_seconds(record)["churn"], 2) for _ in range(READINGS)]
    assert readings == sorted(readings)
    assert readings[-1] > readings[0] + 0.1


def test_a_named_process_is_apart(churn: psutil.Process) -> None:
    helper = subprocess.Popen(["sleep", "60"])
    try:
        wait_until(churn.children, 30)
        up, apart = set(usage.tree(os.getpid(), [churn.pid])), set(usage.tree(churn.pid, []))
    finally:
        helper.kill()
        helper.wait()
    assert up >= {os.getpid(), helper.pid}
    assert len(apart) > 1
    assert not up & apart
