"""Tell the addresses of names: a name server (DNS) for a handful of names.

python -m tests.chaos.network.names ADDRESS NAME=ADDRESS...
"""

import argparse
import socket
import struct
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Final

PORT: Final = 53
HEADER: Final = struct.Struct("!6H")
ADDRESS_RECORD: Final = 1  # the type A (RFC 1035); the hosts have no IPv6 addresses (AAAA)
ANSWER: Final = 0x8180  # a response, recursion available, no error
NO_SUCH_NAME: Final = 3
SECONDS: Final = 0  # for which an answer may be kept


def answer(question: bytes, names: Mapping[str, str]) -> bytes:
    """Return the answer to a question about one name (RFC 1035)."""
    number, *_ = HEADER.unpack_from(question)
    labels, at = [], HEADER.size
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += length + 1
    [kind] = struct.unpack_from("!H", question, at + 1)
    asked = question[HEADER.size : at + 5]
    address = names.get(".".join(labels).lower())
    if address is None:
        return HEADER.pack(number, ANSWER | NO_SUCH_NAME, 1, 0, 0, 0) + asked
    if kind != ADDRESS_RECORD:
        return HEADER.pack(number, ANSWER, 1, 0, 0, 0) + asked
    record = struct.pack("!3HIH", 0xC000 | HEADER.size, kind, 1, SECONDS, 4) + IPv4Address(address).packed
    return HEADER.pack(number, ANSWER, 1, 1, 0, 0) + asked + record


def main() -> None:
    """Parse the arguments and answer until the program is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    names = dict(name.split("=") for name in arguments.names)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((arguments.address, PORT))
        print("ready", flush=True)
        while True:
            question, asker = server.recvfrom(512)
            server.sendto(answer(question, names), asker)


if __name__ == "__main__":
    main()
