"""The brokers of a point: which ones, and the topic of sales, made again for each point."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource
from django.conf import settings

from bench.mensajes.factors import Setting
from bench.result import Say
from deploy.embedded import Stack, StackError
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client, topic_admin
from kafka_bridge.events.topics import Topic
from ventas.events import VENTAS

SECONDS: Final = 60.0
ADDRESSES: Final = "bootstrap.servers"


@dataclass(frozen=True)
class Brokers:
    """Running brokers: their addresses, and the pid of each by name."""

    addresses: str
    pids: dict[str, int]


def own_broker() -> Brokers:
    """Return the broker of the benchmark's stack. Raises StackError if there is not exactly one."""
    pids = [child.pid for child in psutil.Process().children() if child.name() == "java"]
    if len(pids) != 1:
        raise StackError("The factor `brokers` brings three brokers of its own: leave out --brokers.")
    return Brokers(settings.KAFKA_CLIENT_CONFIG[ADDRESSES], {"kafka-1": pids[0]})


@contextmanager
def three_brokers(say: Say) -> Iterator[Brokers]:
    """Run three brokers beside the benchmark's own servers."""
    others = {name: url for name, url in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    with (
        tempfile.TemporaryDirectory(prefix="mamochi-bench-three-") as folder,
        Stack(Path(folder), brokers=3, environ=others, say=say) as stack,
    ):
        yield Brokers(stack.kafka.url, {one.process_name: one.process.pid for one in stack.kafka.brokers})


@contextmanager
def using(brokers: Brokers) -> Iterator[None]:
    """Let this process and the consumers that it starts use these brokers in the block."""
    before = settings.KAFKA_CLIENT_CONFIG[ADDRESSES]
    settings.KAFKA_CLIENT_CONFIG[ADDRESSES] = brokers.addresses
    client.forget_clients()
    try:
        yield
    finally:
        settings.KAFKA_CLIENT_CONFIG[ADDRESSES] = before
        client.forget_clients()


def remake_topic(setting: Setting) -> None:
    """Delete the topic of sales with its messages, and make it again as the point wants it."""
    admin = client.admin()
    if VENTAS.name in admin.list_topics(timeout=SECONDS).topics:
        admin.delete_topics([VENTAS.name])[VENTAS.name].result()
        wait_until(lambda: VENTAS.name not in admin.list_topics(timeout=SECONDS).topics, SECONDS, what="no topic")
    others = [topic for topic in topic_admin.declared_topics() if topic.name != VENTAS.name]
    topic_admin.create_topics([*others, Topic(name=VENTAS.name, partitions=setting.partitions)])
    entry = ConfigEntry("min.insync.replicas", str(setting.insync), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, VENTAS.name, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result()
