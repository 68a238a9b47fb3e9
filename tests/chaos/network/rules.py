"""Rules for the hub, in the language of nftables; a rule is about packets from and to addresses."""

from collections.abc import Collection
from typing import Final

from deploy.embedded.hosts import Host
from tests.chaos.network import names

DELAYED: Final = 1  # the mark of packets that are routed through delay.py

Hosts = Collection[Host]


def cut(some: Hosts, others: Hosts) -> list[str]:
    """Lose every packet between these hosts: connections stay open and silent."""
    return [lose(some, others), lose(others, some)]


def lose(sources: Hosts, targets: Hosts) -> str:
    """Lose every packet in this direction."""
    return f"ip saddr {_set(sources)} ip daddr {_set(targets)} drop"


def lose_some(hosts: Hosts, percent: int) -> list[str]:
    """Lose this part of the packets between these hosts."""
    return [f"ip saddr {_set(hosts)} ip daddr {_set(hosts)} numgen random mod 100 < {percent} drop"]


def delay(hosts: Hosts) -> list[str]:
    """Delay every packet from and to these hosts, in each direction."""
    return [f"ip {end} {_set(hosts)} meta mark set {DELAYED}" for end in ("saddr", "daddr")]


def no_names() -> list[str]:
    """Lose every question to the name server."""
    return [f"udp dport {names.PORT} drop"]


def _set(hosts: Hosts) -> str:
    return f"{{ {', '.join(host.address for host in hosts)} }}"
