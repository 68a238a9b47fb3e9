"""A property: whatever happens, in whatever order, the reports add up to the sales of each week."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from django.db import transaction
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from kafka_bridge.consuming import progress
from kafka_bridge.events.codec import encode
from kafka_bridge.models import ConsumerOffset, OutboxMessage
from tests.support.sales import sale, void_of
from ventas import libro
from ventas.events import VENTAS, VentaAnulada, VentaRegistrada
from ventas.models import ReporteSemanal, Semana
from ventas.semanas import cierre, reports

MAESTROS = [UUID(int=n) for n in (1, 2, 3)]
PRODUCTS = {"chico": (1_500, 380), "mediano": (2_000, 610), "regalo": (0, 610)}  # price, cost: one at a loss
WEEK = timedelta(days=7)
# First and last date that begins with Chile's clocks at UTC-4: from the law, not computed by the
# code.
WINTERS = [(date(2024, 4, 7), date(2024, 9, 8)), (date(2025, 4, 6), date(2025, 9, 7))]
# The simulated months begin in a week of 169 hours, in one of 167, one week before each, and in an
# ordinary week. They end, 16 months later at most, in the past: a message in the outbox that
# PostgreSQL's clock finds in the future would keep weeks open.
BEGINNINGS = [
    datetime(2024, 4, 3, 15, tzinfo=UTC),
    datetime(2024, 9, 4, 15, tzinfo=UTC),
    datetime(2024, 3, 27, 15, tzinfo=UTC),
    datetime(2024, 8, 28, 15, tzinfo=UTC),
    datetime(2024, 11, 4, 5, tzinfo=UTC),
]


def midnight(day: date) -> datetime:
    """Return the first moment of a date in Chile."""
    is_winter = any(first <= day <= last for first, last in WINTERS)
    return datetime.combine(day, time(4 if is_winter else 3), UTC)


def monday_of(moment: datetime) -> date:
    """Return the Monday of the week that contains a moment."""
    monday = moment.date() + timedelta(days=1)
    while monday.weekday() or midnight(monday) > moment:
        monday -= timedelta(days=1)
    return monday


@dataclass
class Counted:
    """A sale in the ledger, with the week it was made in and those that count and subtract it."""

    sale: VentaRegistrada
    made_in: date
    counted_in: date
    subtracted_in: date | None = None


@dataclass
class Guild:
    """The system under test, and next to it the expected outcome in plain Python.

    Kafka is a list of one partition.
    """

    now: datetime
    sales: list[VentaRegistrada] = field(default_factory=list)
    outbox: list[VentaRegistrada] = field(default_factory=list)
    topic: list[VentaRegistrada | VentaAnulada] = field(default_factory=list)
    applied: int = 0
    accepted_at: dict[UUID, datetime] = field(default_factory=dict)  # the first time
    ledger: dict[UUID, Counted] = field(default_factory=dict)
    voided: set[UUID] = field(default_factory=set)
    early_boundaries: dict[date, datetime] = field(default_factory=dict)
    ends: dict[date, int] = field(default_factory=dict)
    closed: list[date] = field(default_factory=list)
    reported: dict[tuple[date, UUID], reports.Resumen] = field(default_factory=dict)

    # Actions of maestros

    def sell(self, maestro: int, product: str, units: int, when: datetime | int) -> None:
        """Sell; `when` in hours is how late the sale arrives, up to weeks."""
        self._accept(self._new_sale(maestro, product, units, when))

    def sell_near_midnight(self, maestro: int, product: str, units: int, seconds: int) -> None:
        """Sell in the hours around the last Monday's midnight."""
        moment = midnight(monday_of(self.now)) + timedelta(seconds=seconds)
        self._accept(self._new_sale(maestro, product, units, min(moment, self.now)))

    def sell_without_kafka(self, maestro: int, product: str, units: int, when: int) -> None:
        """Sell; the event stays in the outbox until the relay runs."""
        sold = self._new_sale(maestro, product, units, when)
        self.outbox.append(sold)
        self.accepted_at[sold.id] = self.now
        OutboxMessage.objects.create(
            event_id=sold.id,
            topic=encode(sold).topic,
            partition=0,
            key=b"",
            value=b"",
            headers=[],
            shard=0,
            created_at=self.now,
        )

    def sell_voided(self, maestro: int, product: str, units: int, when: int) -> None:
        """Sell, with a void that arrives before the sale."""
        sold = self._new_sale(maestro, product, units, when)
        self.topic.append(void_of(sold))
        self._accept(sold)

    def repeat(self, index: int) -> None:
        """Send up to three sales again, as a phone does that did not receive the answer."""
        for sold in self.sales[index % len(self.sales) :][:3] if self.sales else []:
            self._accept(sold)

    def void(self, index: int) -> None:
        """Take any sale back."""
        if self.sales:
            self.topic.append(void_of(self.sales[index % len(self.sales)]))

    # Processes around them

    def wait(self, hours: int) -> None:
        """Let time pass."""
        self.now += timedelta(hours=hours)

    def end_week(self, seconds: int, relay: bool, contabilidad: bool) -> None:
        """Run Beat around the next Monday's midnight, with the processes that run then."""
        self.now = max(self.now, midnight(monday_of(self.now) + WEEK) + timedelta(seconds=seconds))
        if relay:
            self.run_relay()
        if contabilidad:
            self.consume()
        self.close()

    def run_relay(self) -> None:
        """Publish all that waits in the outbox."""
        OutboxMessage.objects.all().delete()
        self.topic += self.outbox
        self.outbox = []

    def consume(self, limit: int = 10**6) -> None:
        """Apply a batch as `contabilidad` does: rows and offset."""
        batch = self.topic[self.applied : self.applied + limit]
        self.applied += len(batch)
        for message in batch:
            if isinstance(message, VentaRegistrada):
                libro.registrar([message])
                self._count(message)
            else:
                libro.anular([message])
                self._subtract(VentaRegistrada.derive_id(message.maestro_id, message.venta_id))
        ConsumerOffset.objects.update_or_create(
            consumer="contabilidad",
            topic=VENTAS.name,
            partition=0,
            topic_uuid="t",
            defaults={"next_offset": self.applied},
        )

    def close(self) -> None:
        """Close the weeks that are due, as Beat does."""
        due = cierre.semanas_vencidas(ahora=self.now)
        known = set(Semana.objects.values_list("lunes", flat=True))
        assert monday_of(self.now) in known
        assert due == sorted(one for one in known - set(self.closed) if self._boundary(one) <= self.now)
        for monday in due:
            self._close(monday)

    def close_early(self) -> None:
        """Close the running week early, as staff do."""
        monday = monday_of(self.now)
        boundary = max(midnight(monday), self.now - cierre.GRACE)
        if monday not in self.closed and self._boundary(monday) != boundary:
            self.early_boundaries[monday] = boundary
            self.ends.pop(monday, None)
        self._close(monday, hasta=boundary)

    # The expected outcome

    def _new_sale(self, maestro: int, product: str, units: int, when: datetime | int) -> VentaRegistrada:
        price, cost = PRODUCTS[product]
        sold = sale(
            MAESTROS[maestro],
            venta_id=uuid5(MAESTROS[0], str(len(self.sales))),
            producto=product,
            cantidad=units,
            precio_unitario=price,
            costo_unitario=cost,
            vendida_en=when if isinstance(when, datetime) else self.now - timedelta(hours=when),
        )
        self.sales.append(sold)
        return sold

    def _accept(self, sold: VentaRegistrada) -> None:
        self.topic.append(sold)
        self.accepted_at.setdefault(sold.id, self.now)

    def _boundary(self, monday: date) -> datetime:
        return self.early_boundaries.get(monday) or midnight(monday + WEEK)

    def _open_week(self, monday: date) -> date:
        """Return the week, or the first open one if it has closed."""
        return max(monday, self.closed[-1] + WEEK) if self.closed else monday

    def _count(self, sold: VentaRegistrada) -> None:
        if sold.id in self.ledger:
            return
        made_in = monday_of(sold.vendida_en)
        self.ledger[sold.id] = Counted(sold, made_in, self._open_week(made_in))
        if sold.id in self.voided:
            self._subtract(sold.id)

    def _subtract(self, id_: UUID) -> None:
        self.voided.add(id_)
        if (counted := self.ledger.get(id_)) and counted.subtracted_in is None:
            counted.subtracted_in = self._open_week(counted.counted_in)

    def _close(self, monday: date, hasta: datetime | None = None) -> None:
        """Close, which succeeds exactly when all sales accepted before the boundary are counted.

        The reports of a closed week never change again.
        """
        complete = self._is_complete(monday)
        assert cierre.cerrar_semana(monday, ahora=self.now, hasta=hasta) == complete
        if complete and monday not in self.closed:
            self.closed.append(monday)
            before = [id_ for id_, moment in self.accepted_at.items() if moment < self._boundary(monday)]
            assert self.ledger.keys() >= set(before)
            event("closed a week")
        for reporte in ReporteSemanal.objects.filter(semana=monday):
            resumen = reports.resumen(monday, reporte.maestro_id)
            assert self.reported.setdefault((monday, reporte.maestro_id), resumen) == resumen
            assert all(getattr(reporte, name) == getattr(resumen, name) for name in reports.TOTALES)

    def _is_complete(self, monday: date) -> bool:
        complete_at = self._boundary(monday) + cierre.GRACE
        if monday in self.closed:
            return True
        if Semana.objects.filter(lunes__lt=monday).exclude(pk__in=self.closed).exists() or self.now < complete_at:
            return False
        if monday not in self.ends:
            if any(self.accepted_at[sold.id] < complete_at for sold in self.outbox):
                return False
            self.ends[monday] = len(self.topic)
        return self.applied >= self.ends[monday]

    def expected_report(self, monday: date, maestro: UUID) -> dict[str, int]:
        """Return the totals that the week's report must have."""
        totals: Counter[str] = Counter()
        for counted in self.ledger.values():
            if counted.sale.maestro_id == maestro and counted.counted_in != counted.subtracted_in:
                for sign, week in ((1, counted.counted_in), (-1, counted.subtracted_in)):
                    if week == monday:
                        totals.update(figures(counted.sale, sign, adjustment=counted.made_in != monday))
        return {name: totals[name] for name in reports.TOTALES}

    def total_sold(self) -> dict[str, int]:
        """Return the totals of all sales that were not taken back."""
        totals: Counter[str] = Counter()
        for counted in self.ledger.values():
            if counted.subtracted_in is None:
                totals.update(figures(counted.sale, 1, adjustment=False))
        return dict(totals)


def figures(sold: VentaRegistrada, sign: int, *, adjustment: bool) -> dict[str, int]:
    """Return what one entry adds to each total."""
    income = sold.cantidad * sold.precio_unitario
    values = {
        "ventas": sign,
        "unidades": sign * sold.cantidad,
        "ingresos": sign * income,
        "ganancias": sign * (income - sold.cantidad * sold.costo_unitario),
    }
    totals = {("cantidad_ventas" if name == "ventas" else name): value for name, value in values.items()}
    return totals | ({f"ajuste_{name}": value for name, value in values.items()} if adjustment else {})


@contextmanager
def guild(beginning: datetime) -> Iterator[Guild]:
    """Provide a guild with empty tables and an empty topic; its rows are undone afterwards."""
    new = Guild(beginning)
    with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "end_offsets", lambda topic, _: {0: len(new.topic) if topic == VENTAS.name else 0})
        patch.setattr(progress, "topic_uuid", lambda topic, *_: "t")
        yield new
        transaction.set_rollback(True)


SALE = (st.integers(0, 2), st.sampled_from(sorted(PRODUCTS)), st.integers(1, 5))  # maestro, product, units
LATE_SALE = st.tuples(*SALE, st.integers(0, 24 * 40))
GRACE = int(cierre.GRACE.total_seconds())
NEAR_MIDNIGHT = st.integers(-2 * 3_600, 2 * 3_600) | st.sampled_from([-1, 0, 1, GRACE - 1, GRACE, GRACE + 1])
INDEX = st.tuples(st.integers(0, 50))
STEPS = st.one_of(
    st.tuples(st.just("sell"), LATE_SALE),
    st.tuples(st.just("sell_near_midnight"), st.tuples(*SALE, NEAR_MIDNIGHT)),
    st.tuples(st.just("sell_without_kafka"), LATE_SALE),
    st.tuples(st.just("sell_voided"), LATE_SALE),
    st.tuples(st.just("repeat"), INDEX),
    st.tuples(st.just("void"), INDEX),
    st.tuples(st.just("wait"), st.tuples(st.integers(1, 24 * 9))),
    st.tuples(st.just("run_relay"), st.just(())),
    st.tuples(st.just("consume"), st.tuples(st.integers(1, 5))),
    st.tuples(st.just("close"), st.just(())),
    st.tuples(st.just("close_early"), st.just(())),
)
WEEKS = st.lists(
    st.tuples(st.lists(STEPS, max_size=8), st.tuples(NEAR_MIDNIGHT, st.booleans(), st.booleans())),
    min_size=2,
    max_size=6,
)


@pytest.mark.slow
@pytest.mark.django_db
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(beginning=st.sampled_from(BEGINNINGS), weeks=WEEKS)
def test_the_reports_add_up_to_the_sales(beginning: datetime, weeks: list[tuple[list[Any], tuple[Any, ...]]]) -> None:
    with guild(beginning) as mamochi:
        for steps, end in weeks:
            for step, arguments in steps:
                getattr(mamochi, step)(*arguments)
            mamochi.end_week(*end)
        mamochi.wait(24 * 30)
        mamochi.run_relay()
        mamochi.consume()
        mamochi.close()
        reported: Counter[str] = Counter()
        for reporte in ReporteSemanal.objects.all():
            totals = {name: getattr(reporte, name) for name in reports.TOTALES}
            assert totals == mamochi.expected_report(reporte.semana_id, reporte.maestro_id)
            reported.update({name: totals[name] for name in reports.TOTALES[:4]})
        assert +reported == +Counter(mamochi.total_sold())
        assert mamochi.ledger.keys() == {sold.id for sold in mamochi.sales}
