"""Import a module once, and fork this process for each order that comes on standard input.

    python -m deploy.forks.program MODULE

Standard input is a socket (SOCK_SEQPACKET) with one JSON object per packet. An order has `name`,
`argv` (of Python), `cwd`, `env` and `log`; the answer has the pid as `forked`. When a fork ends, a
report has its pid as `ended` and its exit code, which is negative for a signal as in subprocess.
MODULE may have a function `begin()`, which each fork calls once its environment is set.

SIGTERM or the end of the socket: take no more orders, and end when the last fork has ended.
"""

import argparse
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from types import ModuleType
from typing import Any, NoReturn

from deploy.forks.gaps import fill_gaps
from deploy.forks.parent import die_with, show_as

LARGEST_ORDER = 2**20

Order = dict[str, Any]


class Program:
    """The loaded program, which waits for orders and for the ends of its forks."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.selector = selectors.DefaultSelector()
        self.forks: dict[int, int] = {}  # pid by its file descriptor
        self.stopping = False
        self.woken, self.waker = socket.socketpair()
        self.waker.setblocking(False)
        signal.set_wakeup_fd(self.waker.fileno())
        signal.signal(signal.SIGTERM, self._stop)
        # Ctrl-C in a terminal is for the program that gives the orders.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.selector.register(self.channel, selectors.EVENT_READ)
        self.selector.register(self.woken, selectors.EVENT_READ)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def serve(self) -> Order | None:
        """Return None in the end; in a fork, return its order."""
        while not self.stopping or self.forks:
            for key, _ in self.selector.select():
                if key.fileobj is self.woken:
                    self.woken.recv(64)
                elif key.fileobj is self.channel:
                    order = self._receive()
                    if order is not None and self._fork():
                        return order
                else:
                    self._report_end(key.fd)
        return None

    def _receive(self) -> Order | None:
        packet = self.channel.recv(LARGEST_ORDER)
        if not packet:
            self.selector.unregister(self.channel)
            self.stopping = True
            return None
        order: Order = json.loads(packet)
        return order

    def _fork(self) -> bool:
        """Fork, and return True in the fork."""
        program = os.getpid()
        pid = os.fork()
        if pid == 0:
            die_with(program)
            self._forget()
            return True
        descriptor = os.pidfd_open(pid)
        self.forks[descriptor] = pid
        self.selector.register(descriptor, selectors.EVENT_READ)
        self._send(forked=pid)
        return False

    def _forget(self) -> None:
        """Close in the fork what belongs to the program."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.selector.close()
        for descriptor in self.forks:
            os.close(descriptor)
        for end in (self.channel, self.woken, self.waker):
            end.close()

    def _report_end(self, descriptor: int) -> None:
        pid = self.forks.pop(descriptor)
        self.selector.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        self._send(ended=pid, code=os.waitstatus_to_exitcode(status))

    def _send(self, **message: int) -> None:
        try:
            self.channel.send(json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            self.stopping = True  # the other end is closed


def run(order: Order, module: ModuleType) -> NoReturn:
    """Become the ordered process and run its program to the end."""
    os.setsid()
    show_as(order["name"])
    with open(order["log"], "ab", buffering=0) as log, open(os.devnull, "rb") as nothing:
        for number, file in enumerate((nothing, log, log)):
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    if begin := getattr(module, "begin", None):
        begin()
    _, what, *arguments = order["argv"]
    if what == "-m":
        name, *arguments = arguments
        sys.argv = [name, *arguments]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [what, *arguments]
        runpy.run_path(what, run_name="__main__")
    sys.exit(0)


def main() -> None:
    """Load the module, then serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", metavar="MODULE")
    # A copy of the descriptor: a fork replaces the standard one.
    channel = socket.socket(fileno=os.dup(0))
    module = importlib.import_module(parser.parse_args().module)
    # From here on the garbage collector leaves what is loaded alone, so its pages stay shared.
    gc.collect()
    gc.freeze()
    fill_gaps()
    order = Program(channel).serve()
    if order is not None:
        run(order, module)


if __name__ == "__main__":
    main()
