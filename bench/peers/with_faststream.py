"""A batch subscriber of faststream, on its backend for confluent-kafka."""

import asyncio
from typing import Any
from uuid import uuid4

from confluent_kafka import Message
from django.conf import settings
from fast_depends.msgspec import MsgSpecSerializer
from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker
from faststream.message import StreamMessage

from bench.peers.applied import Progress
from ventas.events import VENTAS, VentaRegistrada


def with_types(count: int, batch: int) -> float:
    """Return the sales per second of a handler of typed sales, which faststream decodes."""
    progress = Progress(count)
    broker = broker_of(serializer=MsgSpecSerializer())
    app = FastStream(broker, logger=None)

    def enter(ventas: list[VentaRegistrada]) -> None:
        if progress.enter(ventas):
            app.exit()

    broker.subscriber(VENTAS.name, **batches(batch))(enter)
    asyncio.run(app.run())
    return progress.rate


def with_our_codec(count: int, batch: int) -> float:
    """Return the sales per second of a handler that decodes the messages as our consumers do."""
    progress = Progress(count)
    broker = broker_of(apply_types=False)
    app = FastStream(broker, logger=None)

    async def as_it_came(message: StreamMessage[tuple[Message, ...]]) -> Any:
        return message.raw_message

    def enter(messages: tuple[Message, ...]) -> None:
        if progress.decode_and_enter((message.headers() or (), message.value()) for message in messages):
            app.exit()

    broker.subscriber(VENTAS.name, decoder=as_it_came, **batches(batch))(enter)
    asyncio.run(app.run())
    return progress.rate


def broker_of(**options: Any) -> Any:
    client: Any = {**settings.KAFKA_CLIENT_CONFIG, "fetch.queue.backoff.ms": 10}
    return KafkaBroker(client.pop("bootstrap.servers"), config=client, logger=None, **options)


def batches(size: int) -> dict[str, Any]:
    """Return the subscriber's options: batches from the beginning, acknowledged when handled."""
    return {
        "group_id": f"bench-{uuid4()}",
        "auto_offset_reset": "earliest",
        "batch": True,
        "max_records": size,
        "ack_policy": AckPolicy.ACK,
    }
