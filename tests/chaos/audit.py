"""The audit: what the checker does not see: answers, recovery, topics, tokens, processes.

checker/ compares the clients' journal with the final state.
"""

import http.client
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming import progress
from mamochi_site.local.demo.audit import Check
from mamochi_site.local.demo.client import Api
from mamochi_site.local.demo.maestro import CREDENTIALS_SUBJECT
from mamochi_site.local.system import System
from tests.chaos.checker.history import NO_ANSWER, READS, SHOWN, Operation
from tests.chaos.faults.plan import Fault
from tests.chaos.faults.processes import WEB_KILLED
from tests.chaos.journal import Journal
from tests.chaos.load import token_of
from tests.chaos.pulse import KafkaPulse
from tests.chaos.topics import SOURCES, VENTAS, TopicActs

LEADER_SECONDS: Final = 15.0  # seconds until the next acknowledgement after the kill of a leader
ANSWER_SECONDS: Final = 10.0  # seconds that the clients wait
FOUND_SECONDS: Final = 30.0  # seconds until running consumers have new partitions
READ_SECONDS: Final = 60.0  # seconds until they have read what waited for a topic that was made again
AWAY_SECONDS: Final = 3.0  # seconds in which somebody certainly sells
REFUSALS: Final = frozenset({NO_ANSWER, 202, 401, 404, 429, 503})  # what a client may see during faults

TOKENS: Final = (
    "SELECT maestro.email, count(token.*) FROM inscripciones_maestro maestro "
    "LEFT JOIN knox_authtoken token ON token.user_id = maestro.usuario_id GROUP BY 1"
)


def _was_shown(entry: Operation) -> bool:
    return entry.kind in READS and entry.status == SHOWN


class Audit:
    """Run after the faults are healed and everything has drained."""

    def __init__(
        self, system: System, journal: Journal, faults: list[Fault], acts: TopicActs, kafka: KafkaPulse
    ) -> None:
        self.system = system
        self.journal = journal
        self.faults = faults
        self.acts = acts
        self.kafka = kafka

    def checks(self, died: list[str]) -> list[Check]:
        """Return every check. `died` names processes that ended without being killed."""
        with psycopg.connect(self.system.environment["DATABASE_URL"], autocommit=True) as self.database:
            return [
                *self._answers(),
                *self._credentials(),
                *self._engine(),
                *self._leaders(),
                *self._cuts(),
                *self._topics(),
                Check("processes that ended by themselves", [], died),
            ]

    def _query(self, sql: str) -> list[Any]:
        return self.database.execute(sql).fetchall()

    def _answers(self) -> Iterator[Check]:
        """Accept only statuses that ask for a retry; any other is wrong about the request."""
        every = [*self.journal.entries, *self.journal.reads]
        odd = Counter(entry.status for entry in every if entry.status not in REFUSALS and not _was_shown(entry))
        yield Check("answers other than 202 (to a read 200), 401, 404, 429, 503", {}, dict(odd))
        hung = [round(entry.asked) for entry in every if entry.took >= ANSWER_SECONDS]
        starts = [fault for fault in self.faults if fault.name == WEB_KILLED]
        while_served = [
            at for at in hung if not any(fault.began - ANSWER_SECONDS < at < fault.ends for fault in starts)
        ]
        yield Check(f"requests that hung for {ANSWER_SECONDS:g} s while there was a web", [], while_served)

    def _credentials(self) -> Iterator[Check]:
        tokens = dict(self._query(TOKENS))
        yield Check("tokens a maestro", {1}, set(tokens.values()))
        yield Check("maestros whose newest mail lets them in", len(tokens), sum(map(self._gets_in, tokens)))
        mails = self.system.stack.mailbox.mails(subject=CREDENTIALS_SUBJECT)
        repeated = Counter(str(mail.message["Message-ID"]) for mail in mails)
        yield Check("credentials sent twice under one Message-ID", 0, sum(times > 1 for times in repeated.values()))

    def _gets_in(self, email: str) -> bool:
        api = Api(self.system.url, self.kafka.stop)
        api.token = token_of(self.system.stack.mailbox, email)
        try:
            return api.send("GET", "/api/v1/stock/", None, {}).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _engine(self) -> Iterator[Check]:
        yield Check(
            "messages waiting in the outbox", 0, self._query("SELECT count(*) FROM kafka_bridge_outboxmessage")[0][0]
        )
        yield Check("dead letters", [], self._query("SELECT consumer, reason, error FROM kafka_bridge_deadletter"))

    def _leaders(self) -> Iterator[Check]:
        """Check only with replicas; a single broker acknowledges nothing until it is back."""
        killed = [fault for fault in self.faults if fault.name == "kill -9 leader"]
        if len(self.system.stack.kafka.brokers) > 1 and killed:
            waits = [self.kafka.next_after(fault.began) for fault in killed]
            late = [wait for wait in waits if wait is None or wait > LEADER_SECONDS]
            yield Check(f"leaders killed with no acknowledgement for {LEADER_SECONDS:g} s", [], late)

    def _cuts(self) -> Iterator[Check]:
        """Check that all partitions were acknowledged soon after the network was healed."""
        cuts = [fault for fault in self.faults if fault.acknowledged_within]
        for limit in sorted({fault.acknowledged_within or 0.0 for fault in cuts}):
            waits = {f"{one.name} at {one.began:.0f} s": self.kafka.next_after(one.ends) for one in cuts}
            late = {name: wait for name, wait in waits.items() if wait is None or wait > limit}
            yield Check(f"faults with no acknowledgement for {limit:g} s after their healing", {}, late)

    def _topics(self) -> Iterator[Check]:
        """Check the acts on topics; no process was restarted for them."""
        slow = [one.topic for one in self.acts.grown if one.found > FOUND_SECONDS]
        yield Check(f"new partitions that a consumer did not find within {FOUND_SECONDS:g} s", [], slow)
        slow = [one.topic for one in self.acts.made_again if one.found > READ_SECONDS]
        yield Check(f"topics made again that were not read within {READ_SECONDS:g} s", [], slow)
        away = [one for one in self.acts.made_again if one.topic == VENTAS and one.away >= AWAY_SECONDS]
        silent = [round(one.gone) for one in away if not self._accepted_between(one.gone, one.gone + one.away)]
        yield Check("times that the topic of sales was away and no sale was accepted", [], silent)
        counts = topic_admin.partition_counts(topic_admin.declared_topics())
        yield Check("partitions of each topic", self.acts.partitions or counts, counts)
        if self._web_started_after_growth():
            yield Check("sales in partitions that were added", True, self._sales_in_new_partitions() > 0)

    def _accepted_between(self, begin: float, end: float) -> int:
        kinds = SOURCES[VENTAS].requests
        entries = [entry for entry in self.journal.entries if entry.accepted and entry.kind in kinds]
        return sum(begin <= entry.asked and entry.asked + entry.took <= end for entry in entries)

    def _web_started_after_growth(self) -> bool:
        """Return True if the web was killed, and so started with the new numbers of partitions."""
        grown = min((one.gone for one in self.acts.grown), default=float("inf"))
        return any(fault.name == WEB_KILLED and fault.began > grown for fault in self.faults)

    def _sales_in_new_partitions(self) -> int:
        declared = next(topic.partitions for topic in topic_admin.declared_topics() if topic.name == VENTAS)
        ends = progress.end_offsets(VENTAS)
        return sum(end for partition, end in ends.items() if partition >= declared)
