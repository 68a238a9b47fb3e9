"""The application's processes, started as in production, and an HTTP client for them."""

import http.client
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deploy.embedded.ports import HOST, free_port
from deploy.embedded.priority import go_behind
from deploy.embedded.waiting import wait_until
from deploy.forks.parent import die_with
from mamochi_site.local.system import CHECKOUT, application_processes, niceness_of, web_is_ready

EVERYTHING = tuple(application_processes(0, 1))
SETTINGS = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": "", "HTTPS_ONLY": "false", "LOG_FORMAT": "json"}


class Http:
    """A client that keeps one connection per thread open.

    `pids`: the application's processes, by name.
    """

    def __init__(self, port: int, pids: Mapping[str, int]) -> None:
        self.port = port
        self.pids = pids
        self.local = threading.local()

    def post(self, path: str, body: object, token: str = "") -> Any:
        """Return the decoded answer. Raises RuntimeError unless the status is 202."""
        headers = {"Content-Type": "application/json", "Connection": "keep-alive"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = self._request(path, json.dumps(body), headers)
        except (http.client.HTTPException, ConnectionError):
            # The server has closed the idle connection.
            self.local.connection.close()
            answer = self._request(path, json.dumps(body), headers)
        content = answer.read()
        if answer.status != 202:
            raise RuntimeError(f"POST {path}: {answer.status} {content.decode(errors='replace')[:300]}")
        return json.loads(content)

    def _request(self, path: str, body: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection(HOST, self.port, timeout=15)
        self.local.connection.request("POST", f"/api/v1/{path}", body, headers)
        answer: http.client.HTTPResponse = self.local.connection.getresponse()
        return answer


@contextmanager
def running(*names: str) -> Iterator[Http]:
    """Run the application's processes of these names, one of which is the web, in the block."""
    port = free_port()
    nowhere, own = subprocess.DEVNULL, os.getpid()
    commands, environment = application_processes(port, 1), {**os.environ, **SETTINGS}
    with tempfile.TemporaryDirectory(prefix="mamochi-metrics-") as metrics:
        shared = {"web": {"PROMETHEUS_MULTIPROC_DIR": metrics}}
        # Each in a session of its own, as in `./dev up`: Linux shares full cores among sessions.
        processes = {
            name: subprocess.Popen(
                commands[name],
                cwd=CHECKOUT,
                env=environment | shared.get(name, {}),
                stdout=nowhere,
                stderr=nowhere,
                start_new_session=True,
                preexec_fn=lambda: die_with(own),  # noqa: PLW1509 - it calls prctl; no thread can hold a lock of that
            )
            for name in names
        }
        try:
            for name, process in processes.items():
                go_behind(process.pid, niceness_of(name))
            wait_until(lambda: web_is_ready(f"{HOST}:{port}"), 120)
            yield Http(port, {name: process.pid for name, process in processes.items()})
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.wait(30)
