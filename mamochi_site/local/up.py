"""`./dev up`: run the whole system on this machine until Ctrl-C.

Not a management command: the program only starts others, and needs no Django.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from deploy.embedded import Stack, StackError
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.system import DEFAULT_FOLDER, DEFAULT_PORT, System, report_ended_processes, running_system


def main() -> int:
    """Run the system; return 1 if something does not start, and 0 after Ctrl-C."""
    options = _options()
    interrupt_on_termination()
    try:
        _run(options)
    except StackError as error:
        sys.stderr.write(f"./dev up: {error}\n")
        return 1
    except KeyboardInterrupt:
        _write("Everything is stopped.")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev up",
        description="Run the whole system on this machine until Ctrl-C: servers, web, consumers, worker and Beat.",
    )
    parser.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="folder for data and logs (default: .mamochi)")
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=1, help="Kafka brokers (default: 1)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the web, or the next free one")
    parser.add_argument("--fresh", action="store_true", help="delete the data of the last run first")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> None:
    stack = Stack(options.dir, brokers=options.brokers, fresh=options.fresh, say=_say)
    settings = {"REVISION_AUTOMATICA": os.environ.get("REVISION_AUTOMATICA", "false")}
    with running_system(stack, port=options.port, settings=settings) as system:
        _describe(system)
        reported: set[str] = set()
        while True:
            report_ended_processes(system, _say, reported)
            time.sleep(1)  # between two looks, until Ctrl-C


def _say(message: str) -> None:
    _write(f"  {message}")


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _describe(system: System) -> None:
    _write(
        f"\nMAMOCHI runs on {system.url}\n"
        f"  API      {system.url}/api/v1/   (documentation: {system.url}/api/docs/)\n"
        f"  admin    {system.url}/admin/   user {system.admin_user}   password {system.admin_password}\n"
        f"  mailbox  {system.stack.mail.mailbox}\n"
        f"  logs     {system.stack.supervisor.logs}\n"
        f"  details  {system.stack.record_file}\n"
        "Ctrl-C stops everything."
    )


if __name__ == "__main__":
    sys.exit(main())
