"""Whatever happens, in whatever order: the reports add up to the sales, each in its week (the issue's property)."""

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
from tests.ventas.conftest import anulacion, venta
from ventas import libro as venta_libro
from ventas.events import VENTAS, VentaAnulada, VentaRegistrada
from ventas.models import ReporteSemanal, Semana
from ventas.semanas import cierre, reports

MAESTROS = [UUID(int=n) for n in (1, 2, 3)]
PRODUCTOS = {"chico": (1_500, 380), "mediano": (2_000, 610), "regalo": (0, 610)}  # price, cost: one is sold at a loss
SEMANA = timedelta(days=7)
# When Chile's clocks show UTC-4, first and last date that begins so: the law's dates, not the code's arithmetic.
INVIERNOS = [(date(2026, 4, 5), date(2026, 9, 6)), (date(2027, 4, 4), date(2027, 9, 5))]
# The simulated months begin in a week of 169 hours, in one of 167, a week before each, and in one like any other.
COMIENZOS = [
    datetime(2026, 4, 1, 15, tzinfo=UTC),
    datetime(2026, 9, 2, 15, tzinfo=UTC),
    datetime(2026, 3, 25, 15, tzinfo=UTC),
    datetime(2026, 8, 26, 15, tzinfo=UTC),
    datetime(2026, 11, 2, 5, tzinfo=UTC),
]


def medianoche(dia: date) -> datetime:
    """The first moment of a date in Chile."""
    invierno = any(primero <= dia <= ultimo for primero, ultimo in INVIERNOS)
    return datetime.combine(dia, time(4 if invierno else 3), UTC)


def su_lunes(momento: datetime) -> date:
    """The Monday of the week that a moment lies in."""
    lunes = momento.date() + timedelta(days=1)
    while lunes.weekday() or medianoche(lunes) > momento:
        lunes -= timedelta(days=1)
    return lunes


@dataclass
class Vendida:
    """A sale that was counted: the weeks that count it and take it back, and the one it was made in."""

    venta: VentaRegistrada
    propia: date
    cuenta: date
    anula: date | None = None


@dataclass
class Gremio:
    """The system under test, and beside it what must come of it, in plain Python. Kafka is a list."""

    ahora: datetime
    ventas: list[VentaRegistrada] = field(default_factory=list)
    bandeja: list[VentaRegistrada] = field(default_factory=list)
    tema: list[VentaRegistrada | VentaAnulada] = field(default_factory=list)
    aplicados: int = 0
    aceptadas: dict[UUID, datetime] = field(default_factory=dict)  # the first time
    libro: dict[UUID, Vendida] = field(default_factory=dict)
    por_anular: set[UUID] = field(default_factory=set)
    limites: dict[date, datetime] = field(default_factory=dict)  # of weeks that were told to close early
    fines: dict[date, int] = field(default_factory=dict)
    cerradas: list[date] = field(default_factory=list)
    informes: dict[tuple[date, UUID], reports.Resumen] = field(default_factory=dict)

    # What maestros do

    def vender(self, maestro: int, producto: str, cantidad: int, cuando: datetime | int) -> None:
        """A sale that arrives up to weeks late."""
        self._aceptar(self._nueva(maestro, producto, cantidad, cuando))

    def vender_junto_al_limite(self, maestro: int, producto: str, cantidad: int, segundos: int) -> None:
        """In the hours around the last Monday's midnight."""
        momento = medianoche(su_lunes(self.ahora)) + timedelta(seconds=segundos)
        self._aceptar(self._nueva(maestro, producto, cantidad, min(momento, self.ahora)))

    def vender_sin_kafka(self, maestro: int, producto: str, cantidad: int, cuando: int) -> None:
        """It is in the outbox until the relay runs."""
        una = self._nueva(maestro, producto, cantidad, cuando)
        self.bandeja.append(una)
        self.aceptadas[una.id] = self.ahora
        mensaje = encode(una)
        OutboxMessage.objects.create(
            event_id=una.id,
            topic=mensaje.topic,
            partition=0,
            key=b"",
            value=b"",
            headers=[],
            shard=0,
            created_at=self.ahora,
        )

    def vender_anulada(self, maestro: int, producto: str, cantidad: int, cuando: int) -> None:
        """Its void overtakes the sale."""
        una = self._nueva(maestro, producto, cantidad, cuando)
        self.tema.append(anulacion(una))
        self._aceptar(una)

    def repetir(self, cual: int) -> None:
        """The phone did not see our answer and sends its last sales again, along with others."""
        for una in self.ventas[cual % len(self.ventas) :][:3] if self.ventas else []:
            self._aceptar(una)

    def anular(self, cual: int) -> None:
        if self.ventas:
            self.tema.append(anulacion(self.ventas[cual % len(self.ventas)]))

    # What happens around them

    def avanzar(self, horas: int) -> None:
        self.ahora += timedelta(hours=horas)

    def terminar(self, segundos: int, relay: bool, contabilidad: bool) -> None:
        """Beat at work around the next Monday's midnight, and with it what runs of the rest."""
        self.ahora = max(self.ahora, medianoche(su_lunes(self.ahora) + SEMANA) + timedelta(seconds=segundos))
        if relay:
            self.publicar()
        if contabilidad:
            self.consumir()
        self.cerrar()

    def publicar(self) -> None:
        """The relay."""
        OutboxMessage.objects.all().delete()
        self.tema += self.bandeja
        self.bandeja = []

    def consumir(self, cuantos: int = 10**6) -> None:
        """`contabilidad` applies a batch: rows and offset."""
        lote = self.tema[self.aplicados : self.aplicados + cuantos]
        self.aplicados += len(lote)
        for mensaje in lote:
            if isinstance(mensaje, VentaRegistrada):
                venta_libro.registrar([mensaje])
                self._contar(mensaje)
            else:
                venta_libro.anular([mensaje])
                self._descontar(VentaRegistrada.derive_id(mensaje.maestro_id, mensaje.venta_id))
        ConsumerOffset.objects.update_or_create(
            consumer="contabilidad",
            topic=VENTAS.name,
            partition=0,
            topic_uuid="t",
            defaults={"next_offset": self.aplicados},
        )

    def cerrar(self) -> None:
        """What Beat does."""
        vencidas = cierre.semanas_vencidas(ahora=self.ahora)
        conocidas = set(Semana.objects.values_list("lunes", flat=True))
        assert su_lunes(self.ahora) in conocidas
        assert vencidas == sorted(uno for uno in conocidas - set(self.cerradas) if self._limite(uno) <= self.ahora)
        for lunes in vencidas:
            self._cerrar(lunes)

    def cerrar_antes(self) -> None:
        """Staff close the running week early."""
        lunes = su_lunes(self.ahora)
        hasta = max(medianoche(lunes), self.ahora - cierre.MARGEN)
        if lunes not in self.cerradas and self._limite(lunes) != hasta:
            self.limites[lunes] = hasta
            self.fines.pop(lunes, None)
        self._cerrar(lunes, hasta=hasta)

    # What must come of it

    def _nueva(self, maestro: int, producto: str, cantidad: int, cuando: datetime | int) -> VentaRegistrada:
        precio, costo = PRODUCTOS[producto]
        una = venta(
            MAESTROS[maestro],
            venta_id=uuid5(MAESTROS[0], str(len(self.ventas))),
            producto=producto,
            cantidad=cantidad,
            precio_unitario=precio,
            costo_unitario=costo,
            vendida_en=cuando if isinstance(cuando, datetime) else self.ahora - timedelta(hours=cuando),
        )
        self.ventas.append(una)
        return una

    def _aceptar(self, una: VentaRegistrada) -> None:
        self.tema.append(una)
        self.aceptadas.setdefault(una.id, self.ahora)

    def _limite(self, lunes: date) -> datetime:
        return self.limites.get(lunes) or medianoche(lunes + SEMANA)

    def _abierta(self, lunes: date) -> date:
        """The week, or where it has closed the first that has not."""
        return max(lunes, self.cerradas[-1] + SEMANA) if self.cerradas else lunes

    def _contar(self, una: VentaRegistrada) -> None:
        if una.id in self.libro:
            return
        propia = su_lunes(una.vendida_en)
        self.libro[una.id] = Vendida(una, propia, self._abierta(propia))
        if una.id in self.por_anular:
            self._descontar(una.id)

    def _descontar(self, id_: UUID) -> None:
        self.por_anular.add(id_)
        if (vendida := self.libro.get(id_)) and vendida.anula is None:
            vendida.anula = self._abierta(vendida.cuenta)

    def _cerrar(self, lunes: date, hasta: datetime | None = None) -> None:
        """Closes exactly when all that was accepted before its boundary is counted; its reports never change again."""
        completa = self._completa(lunes)
        assert cierre.cerrar_semana(lunes, ahora=self.ahora, hasta=hasta) == completa
        if completa and lunes not in self.cerradas:
            self.cerradas.append(lunes)
            antes = [id_ for id_, momento in self.aceptadas.items() if momento < self._limite(lunes)]
            assert self.libro.keys() >= set(antes)
            event("closed a week")
        for reporte in ReporteSemanal.objects.filter(semana=lunes):
            resumen = reports.resumen(lunes, reporte.maestro_id)
            assert self.informes.setdefault((lunes, reporte.maestro_id), resumen) == resumen
            assert all(getattr(reporte, campo) == getattr(resumen, campo) for campo in reports.TOTALES)

    def _completa(self, lunes: date) -> bool:
        completa_en = self._limite(lunes) + cierre.MARGEN
        if lunes in self.cerradas:
            return True
        if Semana.objects.filter(lunes__lt=lunes).exclude(pk__in=self.cerradas).exists() or self.ahora < completa_en:
            return False
        if lunes not in self.fines:
            if any(self.aceptadas[una.id] < completa_en for una in self.bandeja):
                return False
            self.fines[lunes] = len(self.tema)
        return self.aplicados >= self.fines[lunes]

    def lo_que_cuenta(self, lunes: date, maestro: UUID) -> dict[str, int]:
        """What the week's report must say."""
        suma: Counter[str] = Counter()
        for una in self.libro.values():
            if una.venta.maestro_id == maestro and una.cuenta != una.anula:
                for signo, semana in ((1, una.cuenta), (-1, una.anula)):
                    if semana == lunes:
                        suma.update(_cifras(una.venta, signo, ajuste=una.propia != lunes))
        return {campo: suma[campo] for campo in reports.TOTALES}

    def lo_vendido(self) -> dict[str, int]:
        """Of all that was sold and not taken back."""
        suma: Counter[str] = Counter()
        for una in self.libro.values():
            if una.anula is None:
                suma.update(_cifras(una.venta, 1, ajuste=False))
        return dict(suma)


def _cifras(una: VentaRegistrada, signo: int, *, ajuste: bool) -> dict[str, int]:
    ingresos = una.cantidad * una.precio_unitario
    cifras = {
        "ventas": signo,
        "unidades": signo * una.cantidad,
        "ingresos": signo * ingresos,
        "ganancias": signo * (ingresos - una.cantidad * una.costo_unitario),
    }
    totales = {("cantidad_ventas" if campo == "ventas" else campo): cifra for campo, cifra in cifras.items()}
    return totales | ({f"ajuste_{campo}": cifra for campo, cifra in cifras.items()} if ajuste else {})


@contextmanager
def gremio(comienzo: datetime) -> Iterator[Gremio]:
    """Every example begins with empty tables and an empty topic."""
    nuevo = Gremio(comienzo)
    with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "end_offsets", lambda topic: {0: len(nuevo.tema) if topic == VENTAS.name else 0})
        patch.setattr(progress, "topic_uuid", lambda topic: "t")
        yield nuevo
        transaction.set_rollback(True)


UNA = (st.integers(0, 2), st.sampled_from(sorted(PRODUCTOS)), st.integers(1, 5))
TARDE = st.tuples(*UNA, st.integers(0, 24 * 40))
MARGEN = int(cierre.MARGEN.total_seconds())
JUNTO_AL_LIMITE = st.integers(-2 * 3_600, 2 * 3_600) | st.sampled_from([-1, 0, 1, MARGEN - 1, MARGEN, MARGEN + 1])
CUAL = st.tuples(st.integers(0, 50))
PASOS = st.one_of(
    st.tuples(st.just("vender"), TARDE),
    st.tuples(st.just("vender_junto_al_limite"), st.tuples(*UNA, JUNTO_AL_LIMITE)),
    st.tuples(st.just("vender_sin_kafka"), TARDE),
    st.tuples(st.just("vender_anulada"), TARDE),
    st.tuples(st.just("repetir"), CUAL),
    st.tuples(st.just("anular"), CUAL),
    st.tuples(st.just("avanzar"), st.tuples(st.integers(1, 24 * 9))),
    st.tuples(st.just("publicar"), st.just(())),
    st.tuples(st.just("consumir"), st.tuples(st.integers(1, 5))),
    st.tuples(st.just("cerrar"), st.just(())),
    st.tuples(st.just("cerrar_antes"), st.just(())),
)
SEMANAS = st.lists(
    st.tuples(st.lists(PASOS, max_size=8), st.tuples(JUNTO_AL_LIMITE, st.booleans(), st.booleans())),
    min_size=2,
    max_size=6,
)


@pytest.mark.django_db
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(comienzo=st.sampled_from(COMIENZOS), vividas=SEMANAS)
def test_the_reports_add_up_to_the_sales(comienzo: datetime, vividas: list[tuple[list[Any], tuple[Any, ...]]]) -> None:
    with gremio(comienzo) as el:
        for pasos, fin in vividas:
            for paso, argumentos in pasos:
                getattr(el, paso)(*argumentos)
            el.terminar(*fin)
        el.avanzar(24 * 30)
        el.publicar()
        el.consumir()
        el.cerrar()
        informado: Counter[str] = Counter()
        for reporte in ReporteSemanal.objects.all():
            dice = {campo: getattr(reporte, campo) for campo in reports.TOTALES}
            assert dice == el.lo_que_cuenta(reporte.semana_id, reporte.maestro_id)
            informado.update({campo: dice[campo] for campo in reports.TOTALES[:4]})
        assert +informado == +Counter(el.lo_vendido())
        assert el.libro.keys() == {una.id for una in el.ventas}
