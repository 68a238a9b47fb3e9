"""Which host each process runs on: a server has its own, the application's processes share some."""

from collections.abc import Mapping
from typing import Final

from deploy.embedded import Stack
from deploy.embedded.hosts import LOOPBACK, Host, HostOf
from mamochi_site.local.system import CONSUMERS, WEB
from tests.chaos.faults.preload import Variables
from tests.chaos.network.hub import Network

BACKGROUND: Final = "background"  # the relay, the worker and Beat
POSTGRES, VALKEY, SMTP = "postgres", "valkey", "smtp"
SERVERS: Final = (POSTGRES, VALKEY, SMTP)


def brokers(count: int) -> list[str]:
    """Return the hosts of the brokers."""
    return [f"kafka-{node}" for node in range(1, count + 1)]


def members(count: int) -> list[str]:
    """Return the hosts of the consumers: the first process of each on the first, and so on."""
    return [f"consumers-{number}" for number in range(1, count + 1)]


def all_places(kafka: int, consumers: int) -> list[str]:
    """Return every host."""
    return [*brokers(kafka), *SERVERS, WEB, *members(consumers), BACKGROUND]


def place_of(process: str) -> str:
    """Return the host of a process; commands that end by themselves have none of these."""
    for name in CONSUMERS:
        if process.startswith(f"consumer-{name}"):
            return f"consumers-{process.removeprefix(f'consumer-{name}').removeprefix('-') or '1'}"
    return BACKGROUND if process.startswith(("outbox-relay", "celery-")) else process


def by_name(network: Network, stack: Stack) -> Variables:
    """Return what lets the application's processes know the servers by their names.

    The brokers then tell their clients their addresses.
    """
    named: dict[str, str] = {}
    for variable, value in stack.environment().items():
        named[variable] = value
        for host in (*brokers(len(stack.kafka.brokers)), *SERVERS):
            named[variable] = named[variable].replace(f"{network.hosts[host].address}:", f"{network.name_of(host)}:")
    application = {WEB, BACKGROUND, *(name for name in network.hosts if name.startswith("consumers-"))}
    return lambda process: named if place_of(process) in application else {}


def on(hosts: Mapping[str, Host]) -> HostOf:
    """Return where each process runs; what has no place runs where the load and the audit run."""
    return lambda process: hosts.get(place_of(process), LOOPBACK)
