"""An SMTP server that keeps each mail as a file.

python -m deploy.embedded.smtp --port N --mailbox DIR
"""

import argparse
import asyncio
import os
import signal
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import count
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.embedded.ports import HOST

INDEX = "index.txt"
MAX_BYTES = 10 * 1024 * 1024


class Keeper:
    """The handler for aiosmtpd: a mail that was answered 250 is a complete file on disk."""

    def __init__(self, mailbox: Path) -> None:
        self.mailbox = mailbox
        self._numbers = count(1)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep a complete mail and return the SMTP answer; aiosmtpd calls this."""
        content = envelope.content
        raw = content if isinstance(content, bytes) else str(content).encode()
        name = f"{time.time_ns():020d}-{next(self._numbers):06d}.eml"
        write_durably(self.mailbox / name, raw)
        self._add_to_index(name, message_from_bytes(raw, policy=policy.default), envelope.rcpt_tos)
        return "250 Kept"

    def _add_to_index(self, name: str, mail: EmailMessage, recipients: list[str]) -> None:
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {', '.join(recipients):40}  {mail['subject']}  {name}\n"
        with (self.mailbox / INDEX).open("a", encoding="utf-8") as index:
            index.write(line)


def write_durably(path: Path, content: bytes) -> None:
    """Write the file atomically: readers never see a part of it, and a crash does not lose it."""
    half = path.with_suffix(".part")
    with half.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.rename(path)


async def serve(host: str, port: int, mailbox: Path) -> None:
    """Listen on `host` until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    keeper = Keeper(mailbox)
    server = await loop.create_server(
        lambda: SMTP(keeper, data_size_limit=MAX_BYTES, enable_SMTPUTF8=True, loop=loop), host, port
    )
    async with server:
        await stopped.wait()


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=HOST, help="address to listen on (default: loopback)")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mailbox", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.mailbox.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(arguments.host, arguments.port, arguments.mailbox))


if __name__ == "__main__":
    main()
