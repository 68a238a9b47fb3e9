"""Sales by POST on an open schedule: each one is sent at its time, whatever the answers take.

It is cheap: asyncio on bare streams, in this process, whose CPU time `Sent` reports.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from deploy.embedded.ports import HOST

MOST_CONNECTIONS = 64

# Id and token.
Maestro = tuple[UUID, str]


@dataclass
class Sent:
    """What a schedule sent: the moment of each sale's 202 (perf_counter), and the times in ms."""

    accepted: dict[tuple[UUID, UUID], float] = field(default_factory=dict)  # by maestro and sale
    answers: list[float] = field(default_factory=list)  # from the scheduled moment to the answer
    seconds: float = 0.0
    generator_cpu: float = 0.0  # seconds


class Sender:
    """Connections to the web; the one used last is used first, as a proxy's pool does."""

    def __init__(self, port: int, sent: Sent) -> None:
        self.port = port
        self.sent = sent
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.free = asyncio.Semaphore(MOST_CONNECTIONS)

    async def sell(self, maestro: Maestro, scheduled: float) -> None:
        """Post a sale and note its answer. Raises RuntimeError unless it is 202."""
        sale = uuid4()
        async with self.free:
            status, body = await self._post(maestro[1], sale)
        now = time.perf_counter()
        if status != 202:
            raise RuntimeError(f"POST ventas/: {status} {body.decode(errors='replace')[:300]}")
        self.sent.answers.append((now - scheduled) * 1_000)
        self.sent.accepted[maestro[0], sale] = now

    async def _post(self, token: str, sale: UUID) -> tuple[int, bytes]:
        body = json.dumps({"id": str(sale), "producto": "mediano", "cantidad": 1})
        request = (
            f"POST /api/v1/ventas/ HTTP/1.1\r\nHost: {HOST}:{self.port}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        while self.idle:
            try:
                return await self._exchange(*self.idle.pop(), request)
            except (asyncio.IncompleteReadError, ConnectionError):
                continue  # the server has closed the idle connection; the sale has its id, so it counts once
        return await self._exchange(*await asyncio.open_connection(HOST, self.port), request)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> tuple[int, bytes]:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        content = await reader.readexactly(int(head.partition("content-length:")[2].partition("\r")[0]))
        if "connection: close" in head:
            writer.close()
        else:
            self.idle.append((reader, writer))
        return status, content


def sell(port: int, maestros: Sequence[Maestro], *, per_second: float, seconds: float, sent: Sent) -> None:
    """Let the maestros take turns to sell; return when every answer has arrived."""
    cpu = time.process_time()
    asyncio.run(_sell(port, maestros, per_second, seconds, sent))
    sent.generator_cpu += time.process_time() - cpu


async def _sell(port: int, maestros: Sequence[Maestro], per_second: float, seconds: float, sent: Sent) -> None:
    sender, began = Sender(port, sent), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(per_second * seconds)):
            scheduled = began + number / per_second
            await asyncio.sleep(scheduled - time.perf_counter())
            group.create_task(sender.sell(maestros[number % len(maestros)], scheduled))
    sent.seconds = time.perf_counter() - began
    for _, writer in sender.idle:
        writer.close()
