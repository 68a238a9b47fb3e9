"""Delay packets: each packet that is routed into this device leaves it again after a while.

python -m tests.chaos.network.delay DEVICE --seconds 0.5 --jitter 0.2

The program makes the device (tun) and holds each packet for a time between `seconds - jitter` and
`seconds + jitter`, so packets overtake each other. Linux has `tc netem` for that, which not every
kernel is built with. The device exists as long as the program runs.
"""

import argparse
import fcntl
import heapq
import os
import random
import select
import struct
import time
from itertools import count
from typing import Final

TUNSETIFF: Final = 0x400454CA
IFF_TUN: Final = 0x0001
IFF_NO_PI: Final = 0x1000
LARGEST_PACKET: Final = 65_536


def opened(device: str) -> int:
    """Make the device and return its file descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    return descriptor


def forward(descriptor: int, seconds: float, jitter: float) -> None:
    """Forward packets until the program is ended."""
    held: list[tuple[float, int, bytes]] = []
    numbers = count()
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        readable, _, _ = select.select([descriptor], [], [], wait)
        if readable:
            leaves = time.monotonic() + random.uniform(seconds - jitter, seconds + jitter)
            heapq.heappush(held, (leaves, next(numbers), os.read(descriptor, LARGEST_PACKET)))
        while held and held[0][0] <= time.monotonic():
            os.write(descriptor, heapq.heappop(held)[2])


def main() -> None:
    """Parse the arguments and forward."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--jitter", type=float, required=True)
    arguments = parser.parse_args()
    forward(opened(arguments.device), arguments.seconds, arguments.jitter)


if __name__ == "__main__":
    main()
