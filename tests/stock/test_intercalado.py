"""Any interleaving of sales, voids, notices, redeliveries, sweeps and corrections leaves the carts right.

The two topics, the partitions of one, and how far each consumer is are modelled; handlers, ledger and constraints are the
real ones on PostgreSQL.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inscripciones.events import InscripcionAprobada
from kafka_bridge.consuming import progress
from kafka_bridge.events.event import Event
from kafka_bridge.models import OutboxMessage
from stock import consumers, inventario, reposicion
from stock.events import StockAgotado, StockRepuesto
from stock.inventario import Correccion
from stock.models import Aviso, Movimiento
from tests.stock.guion import (
    AHORA,
    LLENO,
    anulada,
    aprobada,
    aviso,
    correccion,
    inventario_va_en,
    libro,
    por_publicar,
    restocks_fill_to_capacity,
    stock,
    venta,
)
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
    """By type, as the runner does."""
    for event_type in dict.fromkeys(map(type, batch)):
        HANDLERS[event_type]([event for event in batch if type(event) is event_type])


@dataclass
class Guild:
    """Three maestros, the events that were accepted, and how many of them each consumer has applied."""

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
        self.accept(who, aprobada(self.maestros[who]))

    def sell(self, who: int, insumos: dict[str, int]) -> None:
        self.accept(who, venta(self.maestros[who], AHORA, **insumos))

    def void(self, nth: int) -> None:
        sold = [event for event in self.ventas if isinstance(event, VentaRegistrada)]
        if sold:
            sale = sold[nth % len(sold)]
            self.accept(self.maestros.index(sale.maestro_id), anulada(sale))

    def void_before_its_sale(self, who: int, insumos: dict[str, int]) -> None:
        sale = venta(self.maestros[who], AHORA, **insumos)
        self.accept(who, anulada(sale), sale)

    def notify(self, who: int, insumos: list[str], knows_the_end: bool) -> None:
        notice = aviso(self.maestros[who], *insumos, ventas_hasta=self.ends() if knows_the_end else None)
        self.stock.append(notice)
        self.sales_before[notice.aviso_id] = self.ends()

    def correct(self, who: int, insumo: str, cantidad: int) -> None:
        self.corrections.append(correccion(self.maestros[who], insumo, cantidad))
        inventario.corregir(self.corrections[-1], ahora=AHORA)

    def correct_again(self, nth: int) -> None:
        """The same form, sent twice."""
        if self.corrections:
            inventario.corregir(self.corrections[nth % len(self.corrections)], ahora=AHORA)

    def count_sales(self, number: int, up_to: int, decides: bool) -> None:
        """`inventario` applies its next batch, and moves its offset in the same transaction; it may die right after."""
        batch = self.partitions[number][self.counted[number] : self.counted[number] + up_to]
        self.counted[number] += len(batch)
        with transaction.atomic():
            inventario_va_en(self.counted[number], number)
            handle(batch)
        if decides:
            reposicion.decidir_contados(ahora=AHORA)

    def count_again(self, number: int, nth: int) -> None:
        """A redelivery, as after a restore."""
        if self.counted[number]:
            handle([self.partitions[number][nth % self.counted[number]]])

    def relay(self) -> None:
        """The outbox reaches the topic."""
        self.stock += por_publicar(Event)
        OutboxMessage.objects.all().delete()

    def distribute(self, up_to: int, decides: bool) -> None:
        batch = self.stock[self.handled : self.handled + up_to]
        self.handled += len(batch)
        handle(batch)
        if decides:
            reposicion.decidir_contados(ahora=AHORA)

    def distribute_again(self, nth: int) -> None:
        if self.handled:
            handle([self.stock[nth % self.handled]])

    def sweep(self) -> None:
        with patch.object(progress, "end_offsets", lambda _topic, timeout: self.ends()):
            reposicion.revisar(ahora=AHORA)

    def settle(self) -> None:
        """Everyone catches up; the sweep may raise notices, which the distributors then serve and hear of."""
        for _ in range(3):
            for number, partition in enumerate(self.partitions):
                self.count_sales(number, len(partition), decides=True)
            self.relay()
            self.distribute(len(self.stock), decides=True)
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
    st.tuples(st.just(Guild.correct_again), nth),
    st.tuples(st.just(Guild.count_sales), st.integers(0, PARTITIONS - 1), st.integers(1, 5), st.booleans()),
    st.tuples(st.just(Guild.count_again), st.integers(0, PARTITIONS - 1), nth),
    st.tuples(st.just(Guild.relay)),
    st.tuples(st.just(Guild.distribute), st.integers(1, 5), st.booleans()),
    st.tuples(st.just(Guild.distribute_again), nth),
    st.tuples(st.just(Guild.sweep)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(steps, min_size=5, max_size=40))
@example(  # a notice served in part, whose own restock comes back from Kafka before the rest is decided
    script=[
        (Guild.notify, 0, ["mote", "vaso"], False),
        (Guild.sell, 0, {"mote": 1_500, "vaso": 6}),
        (Guild.distribute, 1, True),
        (Guild.count_sales, 0, 1, True),
        (Guild.relay,),
        (Guild.distribute, 1, True),
    ]
)
def test_whatever_the_order_the_carts_are_right(catalogo: None, script: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        guild = Guild()
        guild.open_cart(0)  # the others open when the script says so, or at the end
        guild.count_sales(0, 1, decides=True)
        for step, *arguments in script:
            step(guild, *arguments)
            _totals_are_the_ledger(guild)
            restocks_fill_to_capacity()
            _unfounded_only_when_the_sales_before_are_counted(guild)
            _at_most_one_open_notice()
            _served_means_filled()
        for who in range(CARTS):
            guild.open_cart(who)
        guild.settle()
        _totals_are_what_happened(guild)
        restocks_fill_to_capacity()
        _every_notice_is_closed_and_no_cart_is_empty(guild)
        transaction.set_rollback(True)


def _totals_are_the_ledger(guild: Guild) -> None:
    for maestro_id in guild.maestros:
        assert stock(maestro_id) == libro(maestro_id)


def _unfounded_only_when_the_sales_before_are_counted(guild: Guild) -> None:
    infundados = Aviso.objects.filter(estado=Aviso.Estado.INFUNDADO, origen=Aviso.Origen.MAESTRO)
    for aviso_id in infundados.values_list("aviso_id", flat=True):
        assert all(end <= guild.counted[number] for number, end in guild.sales_before[aviso_id].items())


def _at_most_one_open_notice() -> None:
    """Of a cart and ingredient, however many arrive from both sides."""
    abiertos = Aviso.objects.filter(estado=Aviso.Estado.ABIERTO).order_by().values_list("carro", "insumo")
    assert len(set(abiertos)) == len(abiertos)


def _served_means_filled() -> None:
    """Of each cart and ingredient one notice is open at a time: as many were served as there were restocks, or fewer."""
    restocks = Movimiento.objects.filter(tipo=Movimiento.Tipo.REPOSICION)
    filled = Counter((line.carro_id, code) for line in restocks for code in ["", *line.insumos])
    served = Aviso.objects.filter(estado=Aviso.Estado.ATENDIDO).order_by().values_list("carro", "insumo")
    assert Counter(served) <= filled


def _totals_are_what_happened(guild: Guild) -> None:
    """Reckoned from the events themselves: opening load, sales that stand, corrections, and what restocks added."""
    voided = {event.venta_id for event in guild.ventas if isinstance(event, VentaAnulada)}
    expected = Counter({(maestro_id, code): full for maestro_id in guild.maestros for code, full in LLENO.items()})
    for one in guild.corrections:
        expected[one.maestro_id, one.insumo] += one.cantidad
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
