"""Any order of sales, voids, notices, redeliveries, sweeps and corrections leaves the carts right.

The test models the two topics, the partitions of one, and how far each consumer is. Handlers,
ledger and constraints are the real ones on PostgreSQL.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inscripciones.events import InscripcionAprobada
from kafka_bridge.consuming import progress
from kafka_bridge.consuming.progress import TopicEnds
from kafka_bridge.events.event import Event
from kafka_bridge.models import OutboxMessage
from stock import avisos, consumers, inventario, reposicion
from stock.events import StockAgotado, StockRepuesto
from stock.inventario import Correccion
from stock.models import Aviso, Movimiento
from tests.stock.carts import (
    FULL,
    TOPIC_ID,
    approval,
    assert_restocks_fill_to_capacity,
    correction,
    inventario_has_counted,
    ledger_of,
    notice,
    queued,
    sale_of,
    stock_of,
)
from tests.support.sales import NOW, void_of
from ventas.events import VentaAnulada, VentaRegistrada

HANDLERS: dict[type[Event], Callable[[list[Any]], None]] = {
    InscripcionAprobada: consumers.abrir_carros,
    VentaRegistrada: consumers.descontar_ventas,
    VentaAnulada: consumers.devolver_anuladas,
    StockAgotado: consumers.reponer_carros,
    StockRepuesto: consumers.recordar_reposiciones,
}
CARTS, PARTITIONS = 3, 2


def handle(batch: list[Event]) -> None:
    """Handle a batch type by type, as the runner does."""
    for event_type in dict.fromkeys(map(type, batch)):
        HANDLERS[event_type]([event for event in batch if type(event) is event_type])


@dataclass
class Guild:
    """Three maestros, the accepted events, and how many of these each consumer has applied."""

    maestros: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(CARTS)])
    # mamochi.ventas by partition, with the openings among them
    partitions: list[list[Event]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    counted: list[int] = field(default_factory=lambda: [0] * PARTITIONS)
    stock: list[Event] = field(default_factory=list)  # mamochi.stock
    handled: int = 0
    corrections: list[Correccion] = field(default_factory=list)
    sales_before: dict[UUID, dict[int, int]] = field(default_factory=dict)  # by notice: where the sales ended

    @property
    def ventas(self) -> list[Event]:
        return [event for partition in self.partitions for event in partition]

    @property
    def notices(self) -> list[StockAgotado]:
        return [event for event in self.stock if isinstance(event, StockAgotado)]

    def ends(self) -> dict[int, int]:
        return {number: len(partition) for number, partition in enumerate(self.partitions)}

    def accept(self, who: int, *events: Event) -> None:
        self.partitions[who % PARTITIONS] += events

    def open_cart(self, who: int) -> None:
        self.accept(who, approval(self.maestros[who]))

    def sell(self, who: int, insumos: dict[str, int]) -> None:
        self.accept(who, sale_of(self.maestros[who], NOW, **insumos))

    def void(self, nth: int) -> None:
        sold = [event for event in self.ventas if isinstance(event, VentaRegistrada)]
        if sold:
            voided = sold[nth % len(sold)]
            self.accept(self.maestros.index(voided.maestro_id), void_of(voided))

    def void_before_its_sale(self, who: int, insumos: dict[str, int]) -> None:
        sold = sale_of(self.maestros[who], NOW, **insumos)
        self.accept(who, void_of(sold), sold)

    def notify(self, who: int, insumos: list[str], knows_the_end: bool) -> None:
        event = notice(self.maestros[who], *insumos, ventas_hasta=self.ends() if knows_the_end else None)
        self.stock.append(event)
        self.sales_before[event.aviso_id] = self.ends()

    def correct(self, who: int, insumo: str, cantidad: int) -> None:
        self.corrections.append(correction(self.maestros[who], insumo, cantidad))
        inventario.corregir(self.corrections[-1], ahora=NOW)

    def correct_again(self, nth: int) -> None:
        """Send the form of an earlier correction a second time."""
        if self.corrections:
            inventario.corregir(self.corrections[nth % len(self.corrections)], ahora=NOW)

    def count_sales(self, number: int, up_to: int, decides: bool) -> None:
        """Let `inventario` apply its next batch and move its offset in the same transaction.

        Unless `decides`, it dies right after the commit.
        """
        batch = self.partitions[number][self.counted[number] : self.counted[number] + up_to]
        self.counted[number] += len(batch)
        with transaction.atomic():
            inventario_has_counted(self.counted[number], number)
            handle(batch)
        if decides:
            reposicion.decidir_contados(ahora=NOW)

    def count_again(self, number: int, nth: int) -> None:
        """Deliver an applied event again, as after a restore."""
        if self.counted[number]:
            handle([self.partitions[number][nth % self.counted[number]]])

    def relay(self) -> None:
        """Move the outbox to the topic."""
        self.stock += queued(Event)
        OutboxMessage.objects.all().delete()

    def distribute(self, up_to: int, decides: bool) -> None:
        batch = self.stock[self.handled : self.handled + up_to]
        self.handled += len(batch)
        handle(batch)
        if decides:
            reposicion.decidir_contados(ahora=NOW)

    def distribute_again(self, nth: int) -> None:
        if self.handled:
            handle([self.stock[nth % self.handled]])

    def sweep(self) -> None:
        with patch.object(progress, "topic_ends", lambda _topic, timeout: TopicEnds(TOPIC_ID, self.ends())):
            avisos.revisar(ahora=NOW)

    def settle(self) -> None:
        """Let both consumers catch up; the sweep may raise notices, which are then served."""
        for _ in range(3):
            for number, partition in enumerate(self.partitions):
                self.count_sales(number, len(partition), decides=True)
            self.relay()
            self.distribute(len(self.stock), decides=True)
            self.sweep()


who = st.integers(0, CARTS - 1)
codes = st.sampled_from(sorted(FULL))
insumos = st.dictionaries(codes, st.integers(1, 12), min_size=1).map(
    lambda tenths: {code: tenth * FULL[code] // 10 for code, tenth in tenths.items()}
)
nth = st.integers(0, 30)
steps = st.one_of(
    st.tuples(st.just(Guild.open_cart), who),
    st.tuples(st.just(Guild.sell), who, insumos),
    st.tuples(st.just(Guild.sell), who, insumos),
    st.tuples(st.just(Guild.void), nth),
    st.tuples(st.just(Guild.void_before_its_sale), who, insumos),
    st.tuples(st.just(Guild.notify), who, st.lists(codes, max_size=2, unique=True), st.booleans()),
    st.tuples(st.just(Guild.correct), who, codes, st.integers(-2_000, 300).filter(bool)),
    st.tuples(st.just(Guild.correct_again), nth),
    st.tuples(st.just(Guild.count_sales), st.integers(0, PARTITIONS - 1), st.integers(1, 5), st.booleans()),
    st.tuples(st.just(Guild.count_again), st.integers(0, PARTITIONS - 1), nth),
    st.tuples(st.just(Guild.relay)),
    st.tuples(st.just(Guild.distribute), st.integers(1, 5), st.booleans()),
    st.tuples(st.just(Guild.distribute_again), nth),
    st.tuples(st.just(Guild.sweep)),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(steps, min_size=5, max_size=40))
# A notice served in part, whose own restock comes back from Kafka before the rest is decided.
@example(
    script=[
        (Guild.notify, 0, ["mote", "vaso"], False),
        (Guild.sell, 0, {"mote": 1_500, "vaso": 6}),
        (Guild.distribute, 1, True),
        (Guild.count_sales, 0, 1, True),
        (Guild.relay,),
        (Guild.distribute, 1, True),
    ]
)
def test_carts_are_right_in_any_order(db: None, script: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        guild = Guild()
        # The other carts open when the script says so, or at the end.
        guild.open_cart(0)
        guild.count_sales(0, 1, decides=True)
        for step, *arguments in script:
            step(guild, *arguments)
            _totals_are_the_ledger(guild)
            assert_restocks_fill_to_capacity()
            _unfounded_only_when_the_sales_before_are_counted(guild)
            _at_most_one_open_notice()
            _served_means_filled()
        for who in range(CARTS):
            guild.open_cart(who)
        guild.settle()
        _totals_are_what_happened(guild)
        assert_restocks_fill_to_capacity()
        _every_notice_is_closed_and_no_cart_is_empty(guild)
        transaction.set_rollback(True)


def _totals_are_the_ledger(guild: Guild) -> None:
    for maestro_id in guild.maestros:
        assert stock_of(maestro_id) == ledger_of(maestro_id)


def _unfounded_only_when_the_sales_before_are_counted(guild: Guild) -> None:
    unfounded = Aviso.objects.filter(estado=Aviso.Estado.INFUNDADO, origen=Aviso.Origen.MAESTRO)
    for aviso_id in unfounded.values_list("aviso_id", flat=True):
        assert all(end <= guild.counted[number] for number, end in guild.sales_before[aviso_id].items())


def _at_most_one_open_notice() -> None:
    """Check that a cart and ingredient have at most one open notice."""
    open_notices = Aviso.objects.filter(estado=Aviso.Estado.ABIERTO).order_by().values_list("carro", "insumo")
    assert len(set(open_notices)) == len(open_notices)


def _served_means_filled() -> None:
    """Check that no cart and ingredient have more served notices than restocks.

    Only one of its notices is open at a time, so a restock serves one at most.
    """
    restocked = Movimiento.objects.filter(tipo=Movimiento.Tipo.REPOSICION)
    filled = Counter((line.carro_id, code) for line in restocked for code in ["", *line.insumos])
    served = Aviso.objects.filter(estado=Aviso.Estado.ATENDIDO).order_by().values_list("carro", "insumo")
    assert Counter(served) <= filled


def _totals_are_what_happened(guild: Guild) -> None:
    """Add up the events: opening load, sales that are not voided, corrections and restocks."""
    voided = {event.venta_id for event in guild.ventas if isinstance(event, VentaAnulada)}
    expected = Counter({(maestro_id, code): full for maestro_id in guild.maestros for code, full in FULL.items()})
    for one in guild.corrections:
        expected[one.maestro_id, one.insumo] += one.cantidad
    for event in guild.ventas:
        if isinstance(event, VentaRegistrada) and event.venta_id not in voided:
            expected.subtract({(event.maestro_id, code): amount for code, amount in event.insumos.items()})
    for line in Movimiento.objects.filter(tipo=Movimiento.Tipo.REPOSICION):
        expected.update({(line.carro_id, code): amount for code, amount in line.insumos.items()})
    found = {(maestro_id, code): total for maestro_id in guild.maestros for code, total in stock_of(maestro_id).items()}
    assert found == dict(expected)


def _every_notice_is_closed_and_no_cart_is_empty(guild: Guild) -> None:
    assert not Aviso.objects.filter(estado=Aviso.Estado.ABIERTO).exists()
    assert {notice.aviso_id for notice in guild.notices} == set(Aviso.objects.values_list("aviso_id", flat=True))
    assert all(total > 0 for maestro_id in guild.maestros for total in stock_of(maestro_id).values())
