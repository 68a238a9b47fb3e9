"""Ask a process for its metrics and health."""

import urllib.error
import urllib.request

SECONDS = 60.0  # how long an answer may take


def get(url: str) -> tuple[int, str]:
    """Return the status and the text of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - loopback
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def answers(port: int, question: str) -> int:
    """Return the status of /health/live or /health/ready; 0 while nothing listens there."""
    try:
        return get(f"http://127.0.0.1:{port}/health/{question}")[0]
    except OSError:
        return 0
