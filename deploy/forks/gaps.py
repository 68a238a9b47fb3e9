"""Gaps between the blocks of malloc, in a program of which others are forks."""

import ctypes
from typing import Final

# In bytes. malloc keeps freed blocks of 1,032 and less by their size, in steps of 16.
SIZES: Final = (*(2**power for power in range(16, 10, -1)), *range(1_032, 8, -16))
MOST_BLOCKS: Final = 20_000  # of one size, should the heap be unable to grow


def fill_gaps() -> None:
    """Take the free blocks inside the heap, so that the next blocks are new memory at its end.

    malloc prefers gaps. A fork that writes into one copies the page around it, which it would share
    otherwise: 1.5 MB of a Kafka client, in small blocks, became 7 MB. Whole pages that nothing uses
    go back to the system. With a C library other than glibc nothing happens.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):
        return
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.sbrk.argtypes, libc.sbrk.restype = [ctypes.c_ssize_t], ctypes.c_void_p
    for size in SIZES:
        libc.malloc_trim(0)  # the heap ends with its last block
        end = libc.sbrk(0)
        for _ in range(MOST_BLOCKS):
            libc.malloc(size)  # never freed: the gap stays taken
            if libc.sbrk(0) != end:
                break
