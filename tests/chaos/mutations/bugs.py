"""Known bugs: exact replacements in the product's text, and the promise that each one breaks."""

from dataclasses import dataclass
from typing import Final

from tests.chaos.checker.findings import Promise


@dataclass(frozen=True)
class Scenario:
    """A short run. `seconds` of load; `faults` are plans of the nemesis, each held for `hold` s.

    `closes`: the week is closed at the end. `late_sale`: before that `contabilidad` is frozen, and
    a maestro sells once more. `late_notices`: after the load `inventario` is frozen, and each
    maestro sells once more and reports a shortage. `reading`: how often a maestro reads (load.py).
    """

    seconds: float
    faults: tuple[str, ...] = ()
    hold: tuple[float, float] = (2.0, 4.0)
    closes: bool = False
    late_sale: bool = False
    late_notices: bool = False
    reading: float = 0.5


SCENARIOS: Final = {
    "calm": Scenario(30),
    "calm, week closed": Scenario(20, closes=True),
    "readers": Scenario(35, reading=4.0),
    "late notices": Scenario(20, late_notices=True),
    "consumers die": Scenario(45, ("kill -9 consumer",), hold=(0.5, 1.5)),
    "PostgreSQL dies": Scenario(35, ("kill -9 PostgreSQL in a batch",)),
    "broker dies": Scenario(35, ("kill -9 leader",), hold=(6.0, 9.0)),
    "late sale": Scenario(20, closes=True, late_sale=True),
}


@dataclass(frozen=True)
class Change:
    """In `file`, the text `old`, which is there once, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Bug:
    """A bug to plant, the scenario that provokes it, and the promise that must be found broken."""

    name: str
    what: str
    scenario: str
    promise: Promise
    changes: tuple[Change, ...]


OFFSETS_FIRST: Final = Bug(
    "offsets-first",
    "a consumer commits offsets before the rows, in a transaction of their own (0.3 s earlier)",
    "consumers die",
    Promise.DURABLE,
    (
        Change(
            "kafka_bridge/consuming/batch.py",
            """        with transaction.atomic(durable=True):
            # The first of the callbacks: an error of a later one is no failure of this transaction.
            transaction.on_commit(self._note_commit)
            try:
                with self.advanced(held, offsets):
                    self._bury_rejected()
                    yield
            finally:
""",
            """        import time

        with transaction.atomic(durable=True), self.advanced(held, offsets):
            pass
        time.sleep(0.3)
        with transaction.atomic(durable=True):
            # The first of the callbacks: an error of a later one is no failure of this transaction.
            transaction.on_commit(self._note_commit)
            try:
                self._bury_rejected()
                yield
            finally:
""",
        ),
    ),
)
OFFSET_AHEAD: Final = Bug(
    "offset-ahead",
    "a consumer stores an offset that is one too large",
    "consumers die",
    Promise.DURABLE,
    (
        Change(
            "kafka_bridge/consuming/batch.py",
            "return {at: max(after.get(at, 0), self.reached.get(at, 0)) for at in sorted(self.partitions)}",
            "return {at: max(after.get(at, 0) + 1, self.reached.get(at, 0)) for at in sorted(self.partitions)}",
        ),
    ),
)
SALES_TWICE: Final = Bug(
    "sales-twice",
    "dedupe off: a sale that is sent again gets a row of its own",
    "calm",
    Promise.ONCE,
    (
        Change(
            "ventas/libro.py",
            """    return (
        venta.id,
        venta.venta_id,
""",
            """    from uuid import uuid4

    return (
        uuid4() if Venta.objects.filter(id=venta.id).exists() else venta.id,
        venta.venta_id,
""",
        ),
    ),
)
STOCK_TWICE: Final = Bug(
    "stock-twice",
    "dedupe off: the total of a cart moves by lines that the ledger has already",
    "calm",
    Promise.STOCK,
    (
        Change(
            "stock/movimientos.py",
            """    ), moved AS (
        SELECT maestro_id, line.key AS insumo, sum(line.value::bigint) AS cantidad
        FROM written, jsonb_each_text(insumos) line
        GROUP BY maestro_id, line.key
    )
    INSERT INTO stock_existencia AS held (maestro_id, insumo, cantidad)
    SELECT maestro_id, insumo, cantidad FROM moved ORDER BY maestro_id, insumo
    ON CONFLICT (maestro_id, insumo) DO UPDATE SET cantidad = held.cantidad + excluded.cantidad
    RETURNING maestro_id, insumo, cantidad
\"\"\"


def _insert_missing(lines: list[Asiento]) -> Totals:
    return _query_totals(_INSERT_MISSING, [msgspec.json.encode([line._asdict() for line in lines]).decode()])
""",
            """    ), moved AS (
        SELECT maestro_id, line.key AS insumo, sum(line.value::bigint) AS cantidad
        FROM json_to_recordset(%s::json) AS given (maestro_id uuid, insumos jsonb), jsonb_each_text(insumos) line
        GROUP BY maestro_id, line.key
    )
    INSERT INTO stock_existencia AS held (maestro_id, insumo, cantidad)
    SELECT maestro_id, insumo, cantidad FROM moved ORDER BY maestro_id, insumo
    ON CONFLICT (maestro_id, insumo) DO UPDATE SET cantidad = held.cantidad + excluded.cantidad
    RETURNING maestro_id, insumo, cantidad
\"\"\"


def _insert_missing(lines: list[Asiento]) -> Totals:
    return _query_totals(_INSERT_MISSING, 2 * [msgspec.json.encode([line._asdict() for line in lines]).decode()])
""",
        ),
    ),
)
NOTICE_EARLY: Final = Bug(
    "notice-early",
    "watermark off by one: a notice is decided while the last sale before it is not counted",
    "late notices",
    Promise.RESTOCK,
    (
        Change(
            "stock/models.py",
            "return all(contadas.get((topic, partition), 0) >= end for topic, partition, end in ends)",
            "return all(contadas.get((topic, partition), 0) >= end - 1 for topic, partition, end in ends)",
        ),
    ),
)
WEEK_EARLY: Final = Bug(
    "week-early",
    "watermark off by one: a week closes while the last message is not counted",
    "late sale",
    Promise.WEEK,
    (
        Change(
            "ventas/semanas/cierre.py",
            "        for partition, messages in progress.remaining(CONTABILIDAD, topic, ends).items()\n    }\n",
            "        for partition, messages in progress.remaining(CONTABILIDAD, topic, ends).items()\n"
            "        if messages > 1\n    }\n",
        ),
    ),
)
FAILURE_SWALLOWED: Final = Bug(
    "failure-swallowed",
    "an `except` swallows a batch that PostgreSQL did not take",
    "PostgreSQL dies",
    Promise.DURABLE,
    (
        Change(
            "kafka_bridge/consuming/runner.py",
            """            if error is None:
                return True
            if isinstance(error, Fenced):
""",
            """            if not isinstance(error, Fenced):
                return True
            if isinstance(error, Fenced):
""",
        ),
    ),
)
NO_WAIT: Final = Bug(
    "no-wait",
    "a sale is accepted before Kafka has acknowledged it",
    "broker dies",
    Promise.DURABLE,
    (
        Change(
            "kafka_bridge/publishing/producer.py",
            "            await reported\n",
            "            pass\n",
        ),
        Change(
            "kafka_bridge/publishing/producer.py",
            "reported.acquire(timeout=DEADLINE_MS / 1_000)",
            "reported.acquire(blocking=False)",
        ),
        Change(
            "kafka_bridge/publishing/producer.py",
            "for index, message, error in indexed if error is not None or index not in errors]",
            "for index, message, error in indexed if error is not None]",
        ),
    ),
)
OUTBOX_FORGETS: Final = Bug(
    "outbox-forgets",
    "the relay deletes rows of the outbox before it sends them",
    "broker dies",
    Promise.DURABLE,
    (
        Change(
            "kafka_bridge/publishing/relay.py",
            """        outcome = _send(messages)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM kafka_bridge_outboxmessage WHERE id = ANY(%s)", [outcome.done])
""",
            """        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM kafka_bridge_outboxmessage WHERE id = ANY(%s)", [list(messages)])
        outcome = _send(messages)
""",
        ),
    ),
)
VOID_EARNS: Final = Bug(
    "void-earns",
    "a voided sale still counts in the week's report",
    "calm, week closed",
    Promise.WEEK,
    (
        Change(
            "ventas/semanas/reports.py",
            """    FROM ventas_venta
    WHERE semana_contable = %(lunes)s AND semana_anulacion IS DISTINCT FROM %(lunes)s
    GROUP BY maestro_id, is_adjustment
""",
            """    FROM ventas_venta
    WHERE semana_contable = %(lunes)s
    GROUP BY maestro_id, is_adjustment
""",
        ),
    ),
)
MAIL_TWICE: Final = Bug(
    "mail-twice",
    "a weekly e-mail is sent twice, under two Message-IDs",
    "calm, week closed",
    Promise.MAIL,
    (
        Change(
            "ventas/semanas/mailer.py",
            "        _deliver(server, emails.componer(carta))\n",
            "        _deliver(server, emails.componer(carta))\n        _deliver(server, emails.componer(carta))\n",
        ),
        Change(
            "ventas/semanas/emails.py",
            """    return mail.message_id("semana", codigo""",
            """    from uuid import uuid4

    return mail.message_id(uuid4(), "semana", codigo""",
        ),
    ),
)
STALE_PAGES: Final = Bug(
    "stale-pages",
    "each worker of the web answers lists of sales from a cache of its own, for 20 s",
    "readers",
    Promise.READS,
    (
        Change(
            "ventas/api/views.py",
            "        pagina = self.paginate_queryset(ventas)\n        return self.get_paginated_response("
            "VentaSerializer(pagina, many=True).data)\n",
            """        import time

        key = (maestro_id(request), request.get_full_path())
        cached = CACHE.get(key)
        if cached is None or time.monotonic() - cached[0] > 20:
            pagina = self.paginate_queryset(ventas)
            data = VentaSerializer(pagina, many=True).data
            cached = CACHE[key] = (time.monotonic(), self.get_paginated_response(data).data)
        return Response(cached[1])
""",
        ),
        Change(
            "ventas/api/views.py",
            "\nclass VentaNoRegistrada(",
            "\nCACHE: dict[Any, Any] = {}\n\n\nclass VentaNoRegistrada(",
        ),
    ),
)
RESTOCK_FORGOTTEN: Final = Bug(
    "restock-forgotten",
    "a notice is closed as served, without the restock and its event",
    "calm",
    Promise.RESTOCK,
    (
        Change(
            "stock/reposicion.py",
            """    tipo = Movimiento.Tipo.REPOSICION.value
    movimientos.asentar(Asiento(e.id, e.maestro_id, tipo, e.insumos, ahora, e.aviso_id) for e in eventos)
    notice_rows.close_served(rellenos, ahora)
    outbox.add(*eventos)
""",
            "    notice_rows.close_served(rellenos, ahora)\n",
        ),
    ),
)

BUGS: Final = (
    *(OFFSETS_FIRST, OFFSET_AHEAD, SALES_TWICE, STOCK_TWICE, NOTICE_EARLY, WEEK_EARLY, FAILURE_SWALLOWED),
    *(NO_WAIT, OUTBOX_FORGETS, VOID_EARNS, MAIL_TWICE, STALE_PAGES, RESTOCK_FORGOTTEN),
)
