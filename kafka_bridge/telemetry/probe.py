"""/metrics and /health of a process without a web server: a consumer, the relay, a Celery worker.

`/health/live` is 503 if a loop has not finished a round for HUNG_SECONDS: restart the process.
`/health/ready` is 503 while the process starts or waits for a server: leave it alone.
"""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kafka_bridge.telemetry.pulse import pulses
from kafka_bridge.telemetry.registry import process_registry

logger = logging.getLogger(__name__)

HUNG_SECONDS: Final = 60.0  # as max.poll.interval.ms: Kafka then gives the partitions to another member
Answer = tuple[int, str, bytes]  # status, content type, body


def address(text: str) -> tuple[str, int]:
    """Parse `PORT`, or `HOST:PORT` to listen on one address only. Raises ValueError."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def serve(where: tuple[str, int]) -> ThreadingHTTPServer:
    """Serve in background threads from now on. Raises OSError if the port is taken."""
    server = ThreadingHTTPServer(where, _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="probe", daemon=True).start()
    logger.info("metrics and health on port %d", server.server_port)
    return server


def live() -> Answer:
    """Answer 200 if no loop of this process hangs, otherwise 503 with the loops that do."""
    hung = {name: round(pulse.age, 1) for name, pulse in list(pulses.items()) if pulse.age > HUNG_SECONDS}
    body = {"status": "hung" if hung else "alive", "seconds_without_progress": hung}
    return _json(503 if hung else 200, body)


def ready() -> Answer:
    """Answer 200 if every loop can do its work, otherwise 503 and, where it is known, why not."""
    loops = {name: pulse.working and pulse.age <= HUNG_SECONDS for name, pulse in list(pulses.items())}
    ok = bool(loops) and all(loops.values())
    why = {name: pulse.hindrances for name, pulse in list(pulses.items()) if pulse.hindrances}
    return _json(200 if ok else 503, {"ready": ok, **loops, **({"why": why} if why else {})})


def _json(status: int, body: dict[str, Any]) -> Answer:
    return status, "application/json", json.dumps(body).encode()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(process_registry()))
        elif path == "/health/live":
            self._answer(*live())
        elif path == "/health/ready":
            self._answer(*ready())
        else:
            self._answer(404, "text/plain", b"/metrics /health/live /health/ready\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: probes come every few seconds."""
