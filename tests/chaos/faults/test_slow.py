"""A slow disk delays what is written to files, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.faults.preload import COMPILER, together
from tests.chaos.faults.slow import SlowDisks

pytestmark = pytest.mark.skipif(COMPILER is None and "CI" not in os.environ, reason="needs a C compiler")
SYNC_S = 0.4
# Prints how long a write to a file, a sync, and a write to a socket took.
PROGRAM = """
import os, socket, sys, time

def timed(call, *arguments):
    began = time.monotonic()
    call(*arguments)
    print(time.monotonic() - began)

file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
one, _ = socket.socketpair()
timed(os.write, file, b"text")
timed(os.fsync, file)
timed(os.write, one.fileno(), b"text")
"""


def times(disks: SlowDisks, folder: Path) -> tuple[float, float, float]:
    variables = together(disks.variables, lambda _: {})("postgres")
    command = [sys.executable, "-c", PROGRAM, str(folder / "file")]
    done = subprocess.run(command, env=os.environ | variables, check=True, capture_output=True, text=True)
    write, sync, socket = map(float, done.stdout.split())
    return write, sync, socket


def test_slow_disk_delays_files_only(tmp_path: Path) -> None:
    disks = SlowDisks(tmp_path / "disks")
    assert disks.variables("web") == {}
    assert times(disks, tmp_path)[1] < SYNC_S
    with disks.slow("postgres", SYNC_S):
        write, sync, socket = times(disks, tmp_path)
    assert write >= SYNC_S / 20
    assert sync >= SYNC_S
    assert socket < SYNC_S / 20
