"""A look at the topics every few seconds: which ones were recreated, and which cannot be read."""

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from kafka_bridge.brokers import topic_admin
from kafka_bridge.brokers.topic_admin import Described

WATCH_SECONDS: Final = 10.0  # how long a recreated topic may stay unnoticed

_background: Final = ThreadPoolExecutor(1, "topic-watch")


class TopicWatch:
    """Notices topics that are recreated while they are read, and those that cannot be read.

    A Kafka client continues at the old offset without an error. The messages that it read meanwhile
    are read again from the beginning of the topic, and so are those that it skipped.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._answer: Future[Described] | None = None
        self._ask_at = 0.0

    def news(self) -> Described:
        """Return what Kafka has answered about the topics since the last call; empty if nothing.

        Kafka is asked in the background, every WATCH_SECONDS; this function never waits.
        """
        if self._answer and self._answer.done():
            answer, self._answer = self._answer, None
            if not answer.exception():  # after an error, the next round asks again
                return answer.result()
        elif not self._answer and time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + WATCH_SECONDS
            self._answer = _background.submit(topic_admin.describe, self._names)
        return Described({}, {})
