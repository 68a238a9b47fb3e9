"""/metrics and /health of a process that serves no HTTP otherwise: a consumer, the relay, Celery's worker.

`/health/live` is 503 when a loop has not come round for HUNG_SECONDS: restart it. `/health/ready` is 503 while it starts
or waits out an outage: leave it alone.
"""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kafka_bridge.telemetry.pulse import pulses
from kafka_bridge.telemetry.registry import own_registry

logger = logging.getLogger(__name__)

HUNG_SECONDS: Final = 60.0  # max.poll.interval.ms: by then Kafka has given the partitions to another
Answer = tuple[int, str, bytes]


def address(text: str) -> tuple[str, int]:
    """`PORT`, or `HOST:PORT` to listen on one address only. Raises ValueError."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def serve(where: tuple[str, int]) -> ThreadingHTTPServer:
    """Answers in threads of its own from now on. Raises OSError where the port is taken."""
    server = ThreadingHTTPServer(where, _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="probe", daemon=True).start()
    logger.info("metrics and health on port %d", server.server_port)
    return server


def live() -> Answer:
    """Whether every loop of this process comes round."""
    hung = {name: round(pulse.age, 1) for name, pulse in list(pulses.items()) if pulse.age > HUNG_SECONDS}
    return _json(200 if not hung else 503, {"estado": "colgado" if hung else "vivo", "segundos_sin_avanzar": hung})


def ready() -> Answer:
    """Whether every loop can do its work."""
    parts = {name: pulse.working and pulse.age <= HUNG_SECONDS for name, pulse in list(pulses.items())}
    ok = bool(parts) and all(parts.values())
    return _json(200 if ok else 503, {"listo": ok, **parts})


def _json(status: int, body: dict[str, Any]) -> Answer:
    return status, "application/json", json.dumps(body).encode()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(own_registry()))
        elif path in ("/health/live", "/health/ready"):
            self._answer(*(live() if path.endswith("live") else ready()))
        else:
            self._answer(404, "text/plain", b"/metrics /health/live /health/ready\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Probes come every few seconds: no line."""
