"""Whatever happens, in whatever order: the sum of all the reports is the sum of all the sales (issue: property-based)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.ventas.conftest import anulacion, venta
from ventas import cierre, reports, semanas, services
from ventas.events import VentaRegistrada
from ventas.models import ReporteSemanal, Semana

MAESTROS = [UUID(int=n) for n in (1, 2, 3)]
PRODUCTOS = {"chico": (1_500, 380), "mediano": (2_000, 610), "regalo": (0, 610)}  # price, cost: one is sold at a loss
SUMADOS = ("cantidad_ventas", "unidades", "ingresos", "ganancias")
# The simulated months begin two weeks before a change of clocks: to winter, to summer, and one without.
COMIENZOS = [
    datetime(2026, 3, 23, 5, tzinfo=UTC),
    datetime(2026, 8, 24, 5, tzinfo=UTC),
    datetime(2026, 11, 2, 5, tzinfo=UTC),
]


@dataclass
class Gremio:
    """The system under test, and beside it what really happened, in plain Python."""

    ahora: datetime
    ventas: list[VentaRegistrada] = field(default_factory=list)
    registradas: dict[UUID, VentaRegistrada] = field(default_factory=dict)
    anuladas: set[UUID] = field(default_factory=set)
    informes: dict[tuple[date, UUID], reports.Resumen] = field(default_factory=dict)

    def vender(self, maestro: int, producto: str, cantidad: int, horas_atras: int) -> None:
        """A sale that arrives up to weeks late."""
        self._registrar(self._nueva(maestro, producto, cantidad, horas_atras))

    def vender_anulada(self, maestro: int, producto: str, cantidad: int, horas_atras: int) -> None:
        """Its void overtakes the sale."""
        una = self._nueva(maestro, producto, cantidad, horas_atras)
        self._anular(una)
        self._registrar(una)

    def repetir(self, cual: int) -> None:
        """The phone did not see our answer and sends its last sales again, along with others."""
        if self.ventas:
            desde = cual % len(self.ventas)
            self._registrar(*self.ventas[desde : desde + 3])

    def anular(self, cual: int) -> None:
        if self.ventas:
            self._anular(self.ventas[cual % len(self.ventas)])

    def avanzar(self, horas: int) -> None:
        self.ahora += timedelta(hours=horas)

    def cerrar(self) -> None:
        """What Beat does, once all is consumed."""
        for lunes in cierre.semanas_vencidas(ahora=self.ahora):
            self._contabilizar(lunes)

    def cerrar_antes(self) -> None:
        """Closes the running week early."""
        self.cerrar()
        actual = semanas.semana_de(self.ahora)
        Semana.objects.bulk_create([Semana.nueva(actual)], ignore_conflicts=True)
        self._contabilizar(actual)

    def _nueva(self, maestro: int, producto: str, cantidad: int, horas_atras: int) -> VentaRegistrada:
        precio, costo = PRODUCTOS[producto]
        una = venta(
            MAESTROS[maestro],
            venta_id=uuid5(MAESTROS[0], str(len(self.ventas))),
            producto=producto,
            cantidad=cantidad,
            precio_unitario=precio,
            costo_unitario=costo,
            vendida_en=self.ahora - timedelta(hours=horas_atras),
        )
        self.ventas.append(una)
        return una

    def _registrar(self, *ventas: VentaRegistrada) -> None:
        services.registrar(ventas)
        self.registradas.update({una.id: una for una in ventas})

    def _anular(self, una: VentaRegistrada) -> None:
        services.anular([anulacion(una)])
        self.anuladas.add(una.id)

    def _contabilizar(self, lunes: date) -> None:
        """A report says what the summary said a moment before, and never changes again."""
        antes = {maestro: reports.resumen(lunes, maestro) for maestro in MAESTROS}
        ya_cerrada = Semana.objects.get(pk=lunes).cerrada
        cierre.contabilizar(lunes, ahora=self.ahora)
        for reporte in ReporteSemanal.objects.filter(semana=lunes):
            resumen = reports.resumen(lunes, reporte.maestro_id)
            assert self.informes.setdefault((lunes, reporte.maestro_id), resumen) == resumen
            assert all(getattr(reporte, campo) == getattr(resumen, campo) for campo in reports.TOTALES)
            if not ya_cerrada:
                assert resumen == antes[reporte.maestro_id]
        event("closed a week")

    def lo_vendido(self, maestro: UUID | None = None) -> dict[str, int]:
        """From what happened, not from the tables."""
        cuentan = [una for id_, una in self.registradas.items() if id_ not in self.anuladas]
        suyas = [una for una in cuentan if maestro in (None, una.maestro_id)]
        return {
            "cantidad_ventas": len(suyas),
            "unidades": sum(una.cantidad for una in suyas),
            "ingresos": sum(una.cantidad * una.precio_unitario for una in suyas),
            "ganancias": sum(una.cantidad * (una.precio_unitario - una.costo_unitario) for una in suyas),
        }


def lo_informado(maestro: UUID | None = None) -> dict[str, int]:
    reportes = ReporteSemanal.objects.filter(maestro_id__in=[maestro] if maestro else MAESTROS)
    return {
        campo: total or 0 for campo, total in reportes.aggregate(**{campo: Sum(campo) for campo in SUMADOS}).items()
    }


@contextmanager
def deshecho() -> Iterator[None]:
    """Every example begins with empty tables."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


VENTAS = st.tuples(st.integers(0, 2), st.sampled_from(sorted(PRODUCTOS)), st.integers(1, 5), st.integers(0, 24 * 40))
PASOS = st.one_of(
    st.tuples(st.just("vender"), VENTAS),
    st.tuples(st.just("vender"), VENTAS),
    st.tuples(st.just("vender_anulada"), VENTAS),
    st.tuples(st.just("repetir"), st.tuples(st.integers(0, 50))),
    st.tuples(st.just("anular"), st.tuples(st.integers(0, 50))),
    st.tuples(st.just("avanzar"), st.tuples(st.integers(1, 24 * 9))),
    st.tuples(st.just("cerrar"), st.just(())),
    st.tuples(st.just("cerrar_antes"), st.just(())),
)


@pytest.mark.django_db
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(comienzo=st.sampled_from(COMIENZOS), pasos=st.lists(PASOS, min_size=5, max_size=40))
def test_the_reports_add_up_to_the_sales(comienzo: datetime, pasos: list[tuple[str, tuple[Any, ...]]]) -> None:
    with deshecho():
        gremio = Gremio(comienzo)
        for paso, argumentos in pasos:
            getattr(gremio, paso)(*argumentos)
        gremio.avanzar(24 * 30)
        gremio.cerrar()
        assert lo_informado() == gremio.lo_vendido()
        for maestro in MAESTROS:
            assert lo_informado(maestro) == gremio.lo_vendido(maestro)
        for reporte in ReporteSemanal.objects.all():
            resumen = reports.resumen(reporte.semana_id, reporte.maestro_id)
            de_la_semana = {campo: sum(dia[campo] for dia in resumen.por_dia) for campo in SUMADOS}  # type: ignore[literal-required]
            assert reporte.cantidad_ventas == de_la_semana["cantidad_ventas"] + reporte.ajuste_ventas
            assert reporte.ingresos == de_la_semana["ingresos"] + reporte.ajuste_ingresos
            assert reporte.ganancias == de_la_semana["ganancias"] + reporte.ajuste_ganancias
            assert reporte.unidades == sum(resumen.por_producto.values())
