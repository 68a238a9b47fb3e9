"""A program that speaks TLS with clients and forwards what they send to a server without TLS.

    python -m deploy.embedded.security.terminator --listen 127.0.0.1:6380 --target 127.0.0.1:6379 \
        --certificate valkey.pem --key valkey.key

With --postgres, a client first asks for TLS in PostgreSQL's own way; a client that does not is
refused, as by `hostssl` in pg_hba.conf.
"""

import argparse
import asyncio
import ssl
import struct
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from typing import Final

# PostgreSQL's protocol: a request of eight bytes, its length and its code (message formats).
SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
GSS_REQUEST: Final = struct.pack("!ii", 8, 80877104)
CHUNK: Final = 65_536
HANDSHAKE_SECONDS: Final = 5.0


class Terminator:
    """Serves clients; `target` is the host and port of the server behind."""

    def __init__(self, target: tuple[str, int], context: ssl.SSLContext, *, postgres: bool) -> None:
        self.target = target
        self.context = context
        self.postgres = postgres

    async def serve(self, host: str, port: int) -> None:
        """Listen until the program ends."""
        context = None if self.postgres else self.context
        server = await asyncio.start_server(self._serve_client, host, port, ssl=context)
        async with server:
            await server.serve_forever()

    async def _serve_client(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            if self.postgres and not await self._begin_tls(reader, writer):
                writer.close()
                return
            behind_reader, behind_writer = await asyncio.open_connection(*self.target)
            await asyncio.gather(_forward(reader, behind_writer), _forward(behind_reader, writer))
        writer.close()

    async def _begin_tls(self, reader: StreamReader, writer: StreamWriter) -> bool:
        """Answer the client's request for TLS; return False if it asks for something else."""
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            while (request := await reader.readexactly(len(SSL_REQUEST))) == GSS_REQUEST:
                writer.write(b"N")
            if request != SSL_REQUEST:
                return False
            writer.write(b"S")
            await writer.start_tls(self.context)
        return True


async def _forward(reader: StreamReader, writer: StreamWriter) -> None:
    """Forward until one side closes, then close the other."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:  # the connection was lost, or TLS failed
        return
    finally:
        writer.close()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main() -> None:
    """Run until a signal ends the program."""
    parser = argparse.ArgumentParser(description="Terminates TLS before a server.")
    parser.add_argument("--listen", type=_address, required=True)
    parser.add_argument("--target", type=_address, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certificate, options.key)
    terminator = Terminator(options.target, context, postgres=options.postgres)
    asyncio.run(terminator.serve(*options.listen))


if __name__ == "__main__":
    main()
