"""A client of the API that behaves like a maestro's program.

It retries with the same ids while the service is unavailable.
"""

import http.client
import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

# Seconds: for all attempts of a call, for one attempt, between two attempts.
CALL_SECONDS: Final = 60.0
ATTEMPT_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 5.0
RETRIED_STATUSES: Final = frozenset({429, 502, 503, 504})


class Stopped(Exception):
    """The demo was ended while this client was working."""


class Refused(Exception):
    """The system did not do what it promises: an answer is wrong, or nothing came in time.

    The text, in Spanish, describes the failure; `log` is the name of the process whose log to read.
    """

    def __init__(self, text: str, log: str = "web") -> None:
        super().__init__(text)
        self.log = log


@dataclass(frozen=True)
class Answer:
    """A response: status, decoded JSON, headers with names in lower case."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Api:
    """The API at `url`, such as http://127.0.0.1:8000; once `stop` is set, calls raise Stopped."""

    def __init__(self, url: str, stop: threading.Event) -> None:
        self.netloc = urlsplit(url).netloc
        self.stop = stop
        self.token = ""
        self.retries = 0

    def get(self, path: str) -> Any:
        """Return the JSON at `path`. Raises Refused if no attempt is answered 200."""
        return self._call("GET", path, None, {}, expected=200).body

    def get_all(self, path: str) -> list[Any]:
        """Return the rows of all pages of a paginated list."""
        rows: list[Any] = []
        while path:
            page = self.get(path)
            rows += page["results"]
            path = _path(page["next"])
        return rows

    def post(self, path: str, body: object, *, key: str = "") -> Any:
        """Post `body` and return the JSON of the 202. Raises Refused if no attempt is answered 202.

        `key` is sent as Idempotency-Key, so that a retry is the same request.
        """
        headers = {"Idempotency-Key": key} if key else {}
        return self._call("POST", path, body, headers, expected=202).body

    def _call(self, method: str, path: str, body: object, headers: Mapping[str, str], *, expected: int) -> Answer:
        deadline = time.monotonic() + CALL_SECONDS
        problem = ""
        while time.monotonic() < deadline:
            if self.stop.is_set():
                raise Stopped
            try:
                answer = self.send(method, path, body, headers)
            except (OSError, http.client.HTTPException) as error:
                problem, wait = f"{type(error).__name__}: {error}", ""
            else:
                if answer.status == expected:
                    return answer
                if answer.status not in RETRIED_STATUSES:
                    raise Refused(f"{method} {path}: {answer.status} {answer.body}")
                problem, wait = str(answer.status), answer.headers.get("retry-after", "")
            self._wait(wait)
        raise Refused(f"{method} {path}: {problem}, for {CALL_SECONDS:g} s")

    def send(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Answer:
        """Make one attempt. Raises OSError or HTTPException if no complete response arrives."""
        connection = http.client.HTTPConnection(self.netloc, timeout=ATTEMPT_SECONDS)
        try:
            payload = None if body is None else json.dumps(body).encode()
            connection.request(method, path, payload, {**self._headers(), **headers})
            response = connection.getresponse()
            content = response.read()
            return Answer(response.status, _json(content), {k.lower(): v for k, v in response.getheaders()})
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        identity = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {"Accept": "application/json", "Content-Type": "application/json", **identity}

    def _wait(self, retry_after: str) -> None:
        """Wait as long as the server asked, at most LONGEST_PAUSE_SECONDS.

        Jitter keeps the clients from returning all at the same moment.
        """
        self.retries += 1
        asked = float(retry_after) if retry_after.isdecimal() else 0.5
        self.stop.wait(min(asked, LONGEST_PAUSE_SECONDS) * random.uniform(0.8, 1.2))


def _path(url: str | None) -> str:
    """Return the part of a URL after the host; empty for None."""
    return urlunsplit(("", "", *urlsplit(url)[2:])) if url else ""


def _json(content: bytes) -> Any:
    """Return the decoded body; if it is not JSON, its first characters, for an error message."""
    try:
        return json.loads(content) if content else None
    except ValueError:
        return " ".join(content[:200].decode(errors="replace").split())
