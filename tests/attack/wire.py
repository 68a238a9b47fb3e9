"""HTTP by hand: the exact bytes of a request and of its answer."""

import http.client
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """An answer; status 0 means that the server closed the connection without one."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_json(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/json")

    def json(self) -> Any:
        return json.loads(self.body)


def request_bytes(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of a request that ends its connection.

    Header names may have `_` for `-`; a given header replaces ours.
    """
    given = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    ours = {"Host": HOST, "Connection": "close", "Content-Length": str(len(body))}
    merged = {**{name: value for name, value in ours.items() if name not in given}, **given}
    head = "".join(f"{name}: {value}\r\n" for name, value in merged.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def send(port: int, raw: bytes) -> Answer:
    """Write everything, then read until the server closes.

    Raises TimeoutError when the server neither answers nor closes.
    """
    with socket.create_connection((HOST, port), timeout=SECONDS) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before all was read: an answer may have arrived
            connection.sendall(raw)
        return answer_to(connection)


def answer_to(connection: socket.socket) -> Answer:
    """Read the answer until the server closes the connection."""
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ConnectionResetError):
        return Answer(0, {}, b"")
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
