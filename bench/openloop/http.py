"""HTTP/1.1 connections for a load of thousands of requests per second: one request at a time each.

They are cheap on purpose. Two cores carry the load generator as well as the system.
"""

import asyncio
from typing import Final, NamedTuple, cast

from deploy.embedded.ports import HOST

END_OF_HEAD: Final = b"\r\n\r\n"
NO_ANSWER: Final = 0
NOT_CONNECTED: Final = "no connection"
LOST: Final = "the connection ended"
TOO_LATE: Final = "too late"


class Answer(NamedTuple):
    """An answer. If none came, `status` is 0 and `lack` says why."""

    status: int
    head: str
    body: bytes
    lack: str = ""


def no_answer(lack: str) -> Answer:
    """Return the Answer of a request without one; `lack` is the reason."""
    return Answer(NO_ANSWER, "", b"", lack)


class Connection(asyncio.Protocol):
    """A connection to the web; `is_open` until the server, this side or a failure closes it."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.is_open = True
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and return its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close the connection; a request without an answer gets none."""
        self.is_open = False
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_open = False
        self._tell(no_answer(LOST))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(END_OF_HEAD)
        if end < 0:
            return
        head = self._received[:end].decode("latin-1").lower()
        content = int(head.partition("content-length:")[2].partition("\r")[0])
        body = self._received[end + len(END_OF_HEAD) :]
        if len(body) < content:
            return
        self._received = b""
        if "connection: close" in head:
            self.close()
        self._tell(Answer(int(head.split(" ", 2)[1]), head, body))

    def _tell(self, answer: Answer) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(answer)


class Pool:
    """Connections to the web; the one used last is used first, as a proxy's pool does."""

    def __init__(self, port: int, most: int, patience_seconds: float) -> None:
        self.port = port
        self.patience = patience_seconds
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(most)

    async def post(self, path: str, token: str, body: str) -> Answer:
        """Post JSON and return the answer."""
        request = (
            f"POST /api/v1/{path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        async with self._free:
            while self._idle:
                # The server may have closed it meanwhile. A sale has its id, so it counts once.
                if (connection := self._idle.pop()).is_open:
                    answer = await self._exchange(connection, request)
                    if answer.lack != LOST:
                        return answer
            try:
                _, connection = await asyncio.get_running_loop().create_connection(Connection, HOST, self.port)
            except OSError:  # refused, or not taken in time
                return no_answer(NOT_CONNECTED)
            return await self._exchange(connection, request)

    async def _exchange(self, connection: Connection, request: bytes) -> Answer:
        try:
            async with asyncio.timeout(self.patience):
                answer = await connection.exchange(request)
        except TimeoutError:
            connection.close()
            return no_answer(TOO_LATE)
        if connection.is_open:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self._idle:
            connection.close()
