"""The topic of sales, made again for each point."""

from typing import Final

from bench.mensajes.factors import Setting
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client, topic_admin
from kafka_bridge.events.topics import Topic
from ventas.events import VENTAS

SECONDS: Final = 60.0


def remake_topic(setting: Setting) -> None:
    """Delete the topic of sales with its messages, and make it again as the point wants it."""
    admin = client.admin()
    if VENTAS.name in admin.list_topics(timeout=SECONDS).topics:
        admin.delete_topics([VENTAS.name])[VENTAS.name].result()
        wait_until(lambda: VENTAS.name not in admin.list_topics(timeout=SECONDS).topics, SECONDS, what="no topic")
    others = [topic for topic in topic_admin.declared_topics() if topic.name != VENTAS.name]
    topic_admin.create_topics([*others, Topic(name=VENTAS.name, partitions=setting.partitions)])
