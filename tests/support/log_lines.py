"""Log lines, as production would write them."""

import json
import logging
from typing import Any

from django.conf import settings

from kafka_bridge.telemetry import logs

Lines = list[dict[str, Any]]


class LineKeeper(logging.Handler):
    """Keep each record as the JSON line that production would write."""

    def __init__(self) -> None:
        super().__init__()
        formatter = dict(logs.configure("json", personal_data=settings.PERSONAL_DATA)["formatters"]["line"])
        self.setFormatter(formatter.pop("()")(**formatter))
        self.lines: Lines = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


def of_event(lines: Lines, event: str) -> Lines:
    """Return the lines about this event."""
    return [line for line in lines if line["event"] == event]
