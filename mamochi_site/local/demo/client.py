"""A client of the API as a maestro's program would be: it keeps trying, with the same ids, while the service is away."""

import http.client
import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

PATIENCE_S: Final = 60.0
TIMEOUT_S: Final = 10.0
LONGEST_WAIT_S: Final = 5.0
AGAIN: Final = frozenset({429, 502, 503, 504})


class Stopped(Exception):
    """Somebody ended the demo while this client was at work."""


class Refused(Exception):
    """The system does not do what it promises; the text says what, `log` is the name of the process whose log tells more."""

    def __init__(self, text: str, log: str = "web") -> None:
        super().__init__(text)
        self.log = log


@dataclass(frozen=True)
class Answer:
    """A response: its status, its JSON and its headers in lower case."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Api:
    """The API at `url`, such as http://127.0.0.1:8000. Every call ends early, with Stopped, once `stop` is set."""

    def __init__(self, url: str, stop: threading.Event) -> None:
        self.netloc = urlsplit(url).netloc
        self.stop = stop
        self.token = ""
        self.retries = 0

    def get(self, path: str) -> Any:
        """The JSON at `path`. Raises Refused unless it answers 200 in the end."""
        return self._call("GET", path, None, {}, expected=200).body

    def get_all(self, path: str) -> list[Any]:
        """The rows of a paginated list, all pages."""
        rows: list[Any] = []
        while path:
            page = self.get(path)
            rows += page["results"]
            path = _path(page["next"])
        return rows

    def post(self, path: str, body: object, *, key: str = "") -> Any:
        """The JSON of the answer 202; `key` is sent as Idempotency-Key, so that a retry is the same request."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._call("POST", path, body, headers, expected=202).body

    def _call(self, method: str, path: str, body: object, headers: Mapping[str, str], *, expected: int) -> Answer:
        deadline = time.monotonic() + PATIENCE_S
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
                if answer.status not in AGAIN:
                    raise Refused(f"{method} {path}: {answer.status} {answer.body}")
                problem, wait = str(answer.status), answer.headers.get("retry-after", "")
            self._wait(wait)
        raise Refused(f"{method} {path}: {problem}, for {PATIENCE_S:g} s")

    def send(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Answer:
        """One attempt. Raises OSError or HTTPException where there is no whole answer."""
        connection = http.client.HTTPConnection(self.netloc, timeout=TIMEOUT_S)
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
        """As long as the server asked for, at most LONGEST_WAIT_S, with jitter so that clients do not come back at once."""
        self.retries += 1
        asked = float(retry_after) if retry_after.isdecimal() else 0.5
        self.stop.wait(min(asked, LONGEST_WAIT_S) * random.uniform(0.8, 1.2))  # noqa: S311 - jitter


def _path(url: str | None) -> str:
    """What follows the host in a URL; empty for None."""
    return urlunsplit(("", "", *urlsplit(url)[2:])) if url else ""


def _json(content: bytes) -> Any:
    """The decoded body; the first of its text where it is no JSON, to be shown in an error."""
    try:
        return json.loads(content) if content else None
    except ValueError:
        return " ".join(content[:200].decode(errors="replace").split())
