"""Where a process of the stack runs: on loopback, or on a host of its own on the same machine."""

from collections.abc import Callable
from dataclasses import dataclass

from deploy.embedded.ports import HOST


@dataclass(frozen=True)
class Host:
    """An address to listen on, and the words that put a command there, such as `ip netns exec`."""

    address: str = HOST
    enter: tuple[str, ...] = ()


LOOPBACK = Host()

# The host of a process, by the process's name.
HostOf = Callable[[str], Host]


def all_on_loopback(_name: str) -> Host:
    """Return loopback, where everything runs unless a stack is told otherwise."""
    return LOOPBACK
