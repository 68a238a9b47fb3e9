"""Load on an HTTP server by wrk, and what wrk measures."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import StackError

SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Load:
    """What wrk measured: latencies of all requests, in ms."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def drive(url: str, *, tokens: Sequence[str], body: str, connections: int, seconds: int) -> Load:
    """POST `body` on so many connections, each request as the next user.

    Raises StackError if wrk is not installed, and RuntimeError if a request was not answered with
    2xx.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise StackError("wrk is not installed: on Debian and Ubuntu, `apt-get install wrk`.")
    with tempfile.TemporaryDirectory(prefix="mamochi-load-") as folder:
        users, content = Path(folder) / "tokens", Path(folder) / "body"
        users.write_text("\n".join(tokens) + "\n")
        content.write_text(body)
        # One thread: wrk needs less than a tenth of a core for what two cores can answer.
        options = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "10s"]
        command = [wrk, *options, "--script", str(SCRIPT), url, "--", str(users), str(content)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    return _figures(done.stdout)


def _figures(output: str) -> Load:
    """Return the figures in wrk's output. Raises RuntimeError if a request failed."""
    figures = json.loads(output.strip().rpartition("\n")[2])
    refused, lost = figures.pop("refused"), figures.pop("lost")
    if refused or lost or not figures["requests"]:
        raise RuntimeError(f"of {figures['requests']:,} requests {refused:,} were refused and {lost:,} lost")
    return Load(**figures)
