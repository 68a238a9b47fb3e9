"""What the accounts owe: to close each week that is over, and to send its reports."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Count, Min, Q
from django.db.models.functions import Coalesce
from django.urls import reverse

from kafka_bridge.monitoring.due_work import DueWork, due_work, overdue
from kafka_bridge.monitoring.lookup.registry import ExpectedEvent, Ids, Limitation, Row, lookup
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.models import Anulacion, Cuenta, ReporteSemanal, Semana, Venta

PACIENCIA_DE_CIERRE: Final = 7_200.0  # Beat closes a while after midnight, and tries again
PACIENCIA_DE_CORREOS: Final = 1_800.0  # thousands of mails go out at CORREOS_POR_SEGUNDO
VIGENCIA: Final = timedelta(days=15)  # for how long a report that was not sent is worth a person's time


@due_work
def cierre(now: datetime) -> DueWork:
    """The oldest week that is over and not closed."""
    vencidas = Semana.objects.exclude(estado=Semana.Estado.CERRADA).filter(hasta__lte=now)
    return DueWork(
        work="cierre",
        overdue_s=overdue(vencidas.aggregate(since=Min("hasta"))["since"], now),
        tolerance_s=PACIENCIA_DE_CIERRE,
        late="Hay una semana sin cerrar, que terminó",
        late_advice="En «semanas» dice qué espera. Revisa que Beat y el worker de Celery estén corriendo.",
    )


@due_work
def reportes(now: datetime) -> DueWork:
    """The weekly e-mails that are due, and those that were given up or held."""
    pendientes = Q(envio=ReporteSemanal.Envio.PENDIENTE)
    fallidos = Q(envio=ReporteSemanal.Envio.FALLIDO, semana_id__gte=(now - VIGENCIA).date())
    debido = Coalesce("proximo_intento", "creado_en")
    found = (
        ReporteSemanal.objects.filter(pendientes | fallidos)
        .annotate(debido=debido)
        .aggregate(since=Min("debido", filter=pendientes & Q(debido__lte=now)), failed=Count("pk", filter=fallidos))
    )
    return DueWork(
        work="reportes",
        overdue_s=overdue(found["since"], now),
        tolerance_s=PACIENCIA_DE_CORREOS,
        late="Hay correos de la semana que debieron salir",
        late_advice="Revisa que el worker de Celery y Beat estén corriendo, y que el servidor de correo responda.",
        failed=found["failed"],
        failure="correos de la semana no salieron",
        failure_advice="En «reportes semanales» está lo que dijo el servidor: corrige la dirección, y reenvía.",
    )


MAESTROS = 10_000  # for whom a sale's event id is worked out from the client's id


@lookup
def seguir(ids: Ids) -> Iterator[ExpectedEvent | Row | Limitation]:
    """By the event's id, or the sale's."""
    if Cuenta.objects.order_by("pk")[MAESTROS:].exists():
        yield Limitation(
            f"la venta se buscó entre las de {MAESTROS} maestros, y hay más",
            "Busca con el id del evento: es el «first» o «last» de la línea de su petición en los registros.",
        )
    ventas = list(Venta.objects.filter(pk__in=ids | _eventos_de(ids)))
    anulaciones = Anulacion.objects.filter(pk__in=ids | {_anulada(venta) for venta in ventas})
    for venta in ventas:
        yield from _de_venta(venta)
    for anulacion in anulaciones:
        estado = "aplicada" if anulacion.aplicada else "espera a su venta"
        yield Row(what="Anulación", state=estado, at=anulacion.anulada_en)
        key, near = str(anulacion.maestro_id), anulacion.anulada_en
        yield ExpectedEvent(id=anulacion.pk, event=VentaAnulada, key=key, near=near)


def _eventos_de(ids: Ids) -> set[UUID]:
    """The sale's id is the client's own, unique for a maestro: its event's id is worked out for each, by index then."""
    maestros = Cuenta.objects.order_by("pk").values_list("pk", flat=True)[:MAESTROS]
    return {VentaRegistrada.derive_id(maestro, venta_id) for maestro in maestros for venta_id in ids}


def _anulada(venta: Venta) -> UUID:
    return VentaAnulada.derive_id(venta.maestro_id, venta.venta_id)


def _de_venta(venta: Venta) -> Iterator[ExpectedEvent | Row]:
    anulada = ", anulada" if venta.anulada_en else ""
    contable = f"en la semana del {venta.semana_contable:%d-%m-%Y}{anulada}"
    pagina = reverse("admin:ventas_venta_change", args=[venta.pk])
    yield Row(what="Venta en el libro", state=contable, at=venta.registrada_en, url=pagina)
    yield ExpectedEvent(id=venta.pk, event=VentaRegistrada, key=str(venta.maestro_id), near=venta.registrada_en)
    for reporte in ReporteSemanal.objects.filter(semana_id=venta.semana_contable, maestro_id=venta.maestro_id):
        pagina = reverse("admin:ventas_reportesemanal_change", args=[reporte.pk])
        momento = reporte.enviado_en or reporte.creado_en
        yield Row(what="Correo de la semana", state=reporte.get_envio_display(), at=momento, url=pagina, is_mail=True)
