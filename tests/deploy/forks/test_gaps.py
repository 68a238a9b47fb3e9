"""What a loaded program freed before it forks is not used by its forks."""

import ctypes
import subprocess
import sys

import pytest

from mamochi_site.local.system import CHECKOUT

# Every second of 2,000 blocks is freed; then as many are taken.
PROGRAM = """
import ctypes, platform, sys
from deploy.forks.gaps import fill_gaps
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype, libc.free.argtypes = [ctypes.c_size_t], ctypes.c_void_p, [ctypes.c_void_p]
size = int(sys.argv[1])
blocks = [libc.malloc(size) for _ in range(2_000)]
for block in blocks[::2]:
    libc.free(block)
if sys.argv[2] == "fill":
    fill_gaps()
print(sum(libc.malloc(size) < max(blocks) for _ in range(1_000)))
"""


def blocks_in_gaps(size: int, what: str) -> int:
    command = [sys.executable, "-c", PROGRAM, str(size), what]
    return int(subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="fill_gaps does nothing without glibc, whose malloc has gaps"
)
@pytest.mark.parametrize("size", [24, 600, 5_000])
def test_new_blocks_come_after_those_in_use(size: int) -> None:
    assert blocks_in_gaps(size, "fill") == 0
    assert blocks_in_gaps(size, "leave") > 900
