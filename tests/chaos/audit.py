"""The audit: compare the clients' journal with the database, the e-mails and the API.

It reads with SQL of its own, so that a mistake in the system's queries cannot hide itself.
"""

import http.client
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming import progress
from mamochi_site.local.demo.audit import WEEK_SUBJECT, Check, numbers_in
from mamochi_site.local.demo.client import Api
from mamochi_site.local.demo.maestro import CREDENTIALS_SUBJECT
from mamochi_site.local.system import System
from tests.chaos.faults.plan import Fault
from tests.chaos.faults.processes import WEB_KILLED
from tests.chaos.journal import NO_ANSWER, Journal
from tests.chaos.load import token_of
from tests.chaos.pulse import KafkaPulse
from tests.chaos.topics import SOURCES, VENTAS, TopicActs

LEADER_SECONDS: Final = 15.0  # seconds until the next acknowledgement after the kill of a leader
ANSWER_SECONDS: Final = 10.0  # seconds that the clients wait
FOUND_SECONDS: Final = 30.0  # seconds until running consumers have new partitions
READ_SECONDS: Final = 60.0  # seconds until they have read what waited for a topic that was made again
AWAY_SECONDS: Final = 3.0  # seconds in which somebody certainly sells
REFUSALS: Final = frozenset({NO_ANSWER, 202, 401, 404, 429, 503})  # what a client may see during faults

ROWS: Final = "SELECT venta_id::text, count(*) FROM ventas_venta GROUP BY 1"
VOIDED: Final = (
    "SELECT sale.venta_id::text FROM ventas_venta sale JOIN ventas_anulacion void ON void.venta = sale.id "
    "WHERE void.aplicada AND sale.anulada_en IS NOT NULL"
)
COUNTED: Final = (
    "SELECT coalesce(sum(cantidad_ventas), 0)::int, coalesce(sum(ganancias), 0)::int FROM ventas_reportesemanal"
)
STANDING: Final = (
    "SELECT count(*)::int, coalesce(sum(cantidad * (precio_unitario - costo_unitario)), 0)::int "
    "FROM ventas_venta WHERE anulada_en IS NULL"
)
LEDGER_OFF: Final = """
    SELECT count(*) FROM (
        SELECT maestro_id, line.key AS insumo, sum(line.value::bigint) AS cantidad
        FROM stock_movimiento, jsonb_each_text(insumos) line GROUP BY 1, 2
    ) ledger FULL JOIN stock_existencia held USING (maestro_id, insumo)
    WHERE coalesce(ledger.cantidad, 0) <> coalesce(held.cantidad, 0)"""
IN_THE_LEDGER: Final = "SELECT evento_id::text, count(*) FROM stock_movimiento WHERE tipo = 'venta' GROUP BY 1"
SALES: Final = "SELECT id::text FROM ventas_venta"
NOTICES: Final = "SELECT aviso_id::text, bool_and(estado <> 'abierto') FROM stock_aviso GROUP BY 1"
DECIDED: Final = "SELECT id::text, estado FROM inscripciones_inscripcion"
FORMS_A_PERSON: Final = "SELECT max(forms) FROM (SELECT count(*) forms FROM inscripciones_inscripcion GROUP BY rut) one"
TOKENS: Final = (
    "SELECT maestro.email, count(token.*) FROM inscripciones_maestro maestro "
    "LEFT JOIN knox_authtoken token ON token.user_id = maestro.usuario_id GROUP BY 1"
)


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
                *self._sales(),
                *self._week(),
                *self._carts(),
                *self._enrolments(),
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
        odd = {status: times for status, times in self.journal.statuses.items() if status not in REFUSALS}
        yield Check("answers other than 202, 401, 404, 429, 503", {}, odd)
        hung = [round(entry.asked) for entry in self.journal.entries if entry.took >= ANSWER_SECONDS]
        starts = [fault for fault in self.faults if fault.name == WEB_KILLED]
        while_served = [
            at for at in hung if not any(fault.began - ANSWER_SECONDS < at < fault.ends for fault in starts)
        ]
        yield Check(f"requests that hung for {ANSWER_SECONDS:g} s while there was a web", [], while_served)

    def _sales(self) -> Iterator[Check]:
        rows = dict(self._query(ROWS))
        accepted, sent = self.journal.accepted("venta"), self.journal.sent("venta")
        yield Check("sales accepted = those with a row", len(accepted), len(accepted & rows.keys()))
        yield Check("sales with more than one row", 0, sum(times > 1 for times in rows.values()))
        yield Check("sales that nobody sent", 0, len(rows.keys() - sent))
        voided = {id_ for (id_,) in self._query(VOIDED)}
        taken_back, asked = self.journal.accepted("anulacion"), self.journal.sent("anulacion")
        yield Check("voids accepted = sales taken back", len(taken_back), len(taken_back & voided))
        yield Check("sales taken back that nobody asked for", 0, len(voided - asked))

    def _week(self) -> Iterator[Check]:
        """Compare the reports and the e-mails with the rows, in CLP."""
        standing = self._query(STANDING)[0]
        yield Check("sales and earnings of the rows = of the reports", standing, self._query(COUNTED)[0])
        mails = self.system.stack.mailbox.mails(subject=WEEK_SUBJECT)
        told = {str(mail.message["Message-ID"]): numbers_in(mail.text) for mail in mails}
        yield Check(
            "the same, as the e-mails tell it",
            standing,
            (
                sum(max(count, 0) for count, _ in told.values()),
                sum(earned for count, earned in told.values() if count > 0),
            ),
        )
        [(reports,)] = self._query("SELECT count(*) FROM ventas_reportesemanal")
        yield Check("weekly e-mails, one Message-ID a report", reports, len(told))

    def _carts(self) -> Iterator[Check]:
        yield Check("totals of stock that are not the sum of their ledger", 0, self._query(LEDGER_OFF)[0][0])
        lines = dict(self._query(IN_THE_LEDGER))
        yield Check("sales in the ledger = rows", {id_ for (id_,) in self._query(SALES)} == lines.keys(), True)
        yield Check("sales more than once in the ledger", 0, sum(times > 1 for times in lines.values()))
        notices = dict(self._query(NOTICES))
        accepted = self.journal.accepted("aviso")
        yield Check("notices accepted = closed", len(accepted), sum(notices.get(id_, False) for id_ in accepted))

    def _enrolments(self) -> Iterator[Check]:
        states = dict(self._query(DECIDED))
        accepted = self.journal.accepted("inscripcion")
        approved = [id_ for id_ in accepted if states.get(id_) == "aprobada"]
        yield Check("enrolments accepted = approved", len(accepted), len(approved))
        yield Check("forms a person", 1, self._query(FORMS_A_PERSON)[0][0])
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
