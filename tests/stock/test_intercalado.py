"""Any interleaving of sales, voids, notices, redeliveries, sweeps and corrections leaves the carts right.

The two topics and how far each consumer is are modelled; handlers, ledger and constraints are the real ones on PostgreSQL.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inscripciones.events import InscripcionAprobada
from kafka_bridge import watermark
from kafka_bridge.events import Event
from kafka_bridge.models import OutboxMessage
from stock import consumers, services
from stock.events import StockAgotado
from stock.models import Aviso, Movimiento
from tests.stock.guion import (
    AHORA,
    LLENO,
    anulada,
    aprobada,
    automaticos,
    aviso,
    correccion,
    inventario_va_en,
    libro,
    stock,
    venta,
)
from ventas.events import VentaAnulada, VentaRegistrada

HANDLERS: dict[type[Event], Callable[[list[Any]], None]] = {
    InscripcionAprobada: consumers.abrir_carros,
    VentaRegistrada: consumers.descontar_ventas,
    VentaAnulada: consumers.devolver_anuladas,
}
CARTS = 2


@dataclass
class Guild:
    """Two maestros, the events that were accepted, and how many of them each consumer has applied."""

    maestros: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(CARTS)])
    ventas: list[Event] = field(default_factory=list)  # mamochi.ventas, with the openings among them
    notices: list[StockAgotado] = field(default_factory=list)  # mamochi.stock
    counted: int = 0
    handled: int = 0
    corrected: Counter[tuple[UUID, str]] = field(default_factory=Counter)
    sales_before: dict[UUID, int] = field(default_factory=dict)  # by notice: the sales accepted before it

    def open_cart(self, who: int) -> None:
        self.ventas.append(aprobada(self.maestros[who]))

    def sell(self, who: int, insumos: dict[str, int]) -> None:
        self.ventas.append(venta(self.maestros[who], AHORA, **insumos))

    def void(self, nth: int) -> None:
        sold = [event for event in self.ventas if isinstance(event, VentaRegistrada)]
        if sold:
            self.ventas.append(anulada(sold[nth % len(sold)]))

    def void_before_its_sale(self, who: int, insumos: dict[str, int]) -> None:
        sale = venta(self.maestros[who], AHORA, **insumos)
        self.ventas += [anulada(sale), sale]

    def notify(self, who: int, insumos: list[str], knows_the_end: bool) -> None:
        ends = {0: len(self.ventas)} if knows_the_end else None
        self.notices.append(aviso(self.maestros[who], *insumos, ventas_hasta=ends))
        self.sales_before[self.notices[-1].aviso_id] = len(self.ventas)

    def correct(self, who: int, insumo: str, cantidad: int) -> None:
        services.corregir(correccion(self.maestros[who], insumo, cantidad), ahora=AHORA)
        self.corrected[self.maestros[who], insumo] += cantidad

    def count_sales(self, up_to: int) -> None:
        """`inventario` applies its next batch, by type as the runner does, and moves its offset in the same transaction."""
        batch = self.ventas[self.counted : self.counted + up_to]
        self.counted += len(batch)
        with transaction.atomic():
            inventario_va_en(self.counted)
            for event_type, handler in HANDLERS.items():
                if events := [event for event in batch if isinstance(event, event_type)]:
                    handler(events)

    def count_again(self, nth: int) -> None:
        """A redelivery, as after a restore."""
        if self.counted:
            event = self.ventas[nth % self.counted]
            HANDLERS[type(event)]([event])

    def relay(self) -> None:
        """The outbox reaches the topic."""
        self.notices += automaticos()
        OutboxMessage.objects.all().delete()

    def distribute(self, up_to: int) -> None:
        batch = self.notices[self.handled : self.handled + up_to]
        self.handled += len(batch)
        if batch:
            consumers.reponer_carros(batch)

    def distribute_again(self, nth: int) -> None:
        if self.handled:
            consumers.reponer_carros([self.notices[nth % self.handled]])

    def sweep(self) -> None:
        with patch.object(watermark, "end_offsets", lambda _topic, timeout: {0: len(self.ventas)}):
            services.revisar(ahora=AHORA)

    def settle(self) -> None:
        """Everyone catches up; the sweep may raise notices, which the distributors then serve."""
        for _ in range(2):
            self.count_sales(len(self.ventas))
            self.relay()
            self.distribute(len(self.notices))
            self.sweep()


who = st.integers(0, CARTS - 1)
codes = st.sampled_from(sorted(LLENO))
insumos = st.dictionaries(codes, st.integers(1, 12), min_size=1).map(
    lambda tenths: {code: tenth * LLENO[code] // 10 for code, tenth in tenths.items()}
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
    st.tuples(st.just(Guild.count_sales), st.integers(1, 5)),
    st.tuples(st.just(Guild.count_again), nth),
    st.tuples(st.just(Guild.relay)),
    st.tuples(st.just(Guild.distribute), st.integers(1, 5)),
    st.tuples(st.just(Guild.distribute_again), nth),
    st.tuples(st.just(Guild.sweep)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(steps, min_size=5, max_size=40))
def test_whatever_the_order_the_carts_are_right(catalogo: None, script: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        guild = Guild()
        guild.open_cart(0)  # the other opens when the script says so, or at the end
        guild.count_sales(1)
        for step, *arguments in script:
            step(guild, *arguments)
            _totals_are_the_ledger(guild)
            _restocks_fill_to_capacity(guild)
            _unfounded_only_when_the_sales_before_are_counted(guild)
        for who in range(CARTS):
            guild.open_cart(who)
        guild.settle()
        _totals_are_what_happened(guild)
        _restocks_fill_to_capacity(guild)
        _every_notice_is_closed_and_no_cart_is_empty(guild)
        transaction.set_rollback(True)


def _totals_are_the_ledger(guild: Guild) -> None:
    for maestro_id in guild.maestros:
        assert stock(maestro_id) == libro(maestro_id)


def _restocks_fill_to_capacity(guild: Guild) -> None:
    """In the order of writing, each restock brings the total to the capacity: neither more nor less."""
    totals: Counter[tuple[UUID, str]] = Counter()
    for line in Movimiento.objects.order_by("id"):
        for code, amount in line.insumos.items():
            totals[line.carro_id, code] += amount
            if line.tipo == Movimiento.Tipo.REPOSICION:
                assert amount > 0
                assert totals[line.carro_id, code] == LLENO[code]


def _unfounded_only_when_the_sales_before_are_counted(guild: Guild) -> None:
    infundados = Aviso.objects.filter(estado=Aviso.Estado.INFUNDADO, origen=Aviso.Origen.MAESTRO)
    for aviso_id in infundados.values_list("aviso_id", flat=True):
        assert guild.sales_before[aviso_id] <= guild.counted


def _totals_are_what_happened(guild: Guild) -> None:
    """Reckoned from the events themselves: opening load, sales that stand, corrections, and what restocks added."""
    voided = {event.venta_id for event in guild.ventas if isinstance(event, VentaAnulada)}
    expected = Counter({(maestro_id, code): full for maestro_id in guild.maestros for code, full in LLENO.items()})
    expected.update(guild.corrected)
    for event in guild.ventas:
        if isinstance(event, VentaRegistrada) and event.venta_id not in voided:
            expected.subtract({(event.maestro_id, code): amount for code, amount in event.insumos.items()})
    for line in Movimiento.objects.filter(tipo=Movimiento.Tipo.REPOSICION):
        expected.update({(line.carro_id, code): amount for code, amount in line.insumos.items()})
    found = {(maestro_id, code): total for maestro_id in guild.maestros for code, total in stock(maestro_id).items()}
    assert found == dict(expected)


def _every_notice_is_closed_and_no_cart_is_empty(guild: Guild) -> None:
    assert not Aviso.objects.filter(estado=Aviso.Estado.ABIERTO).exists()
    assert {notice.aviso_id for notice in guild.notices} == set(Aviso.objects.values_list("aviso_id", flat=True))
    assert all(total > 0 for maestro_id in guild.maestros for total in stock(maestro_id).values())
