"""What this app reports to the monitoring: overdue work, and what it knows of an id.

Sentences for staff are in Spanish.
"""

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

CLOSING_PATIENCE_S: Final = 7_200.0  # Beat closes a week some minutes after midnight, and tries again
SENDING_PATIENCE_S: Final = 1_800.0  # thousands of e-mails go out at CORREOS_POR_SEGUNDO
FAILED_REPORTS_SHOWN: Final = timedelta(days=15)  # older unsent reports are not worth a person's time
MAESTROS: Final = 10_000  # of so many maestros, a sale is found by the id that the client gave it


@due_work
def cierre(now: datetime) -> DueWork:
    """Report for how long the oldest week that has ended is still open."""
    ended = Semana.objects.exclude(estado=Semana.Estado.CERRADA).filter(hasta__lte=now)
    return DueWork(
        work="cierre",
        overdue_s=overdue(ended.aggregate(since=Min("hasta"))["since"], now),
        tolerance_s=CLOSING_PATIENCE_S,
        late="Hay una semana sin cerrar, que terminó",
        late_advice="En «semanas» dice qué espera. Revisa que Beat y el worker de Celery estén corriendo.",
    )


@due_work
def reportes(now: datetime) -> DueWork:
    """Report for how long the oldest weekly e-mail is due, and how many failed or are held."""
    pending = Q(envio__in=ReporteSemanal.POR_ENVIAR)
    failed = Q(envio=ReporteSemanal.EstadoCorreo.FALLIDO, semana_id__gte=(now - FAILED_REPORTS_SHOWN).date())
    found = (
        ReporteSemanal.objects.filter(pending | failed)
        .annotate(due=Coalesce("proximo_intento", "creado_en"))
        .aggregate(since=Min("due", filter=pending & Q(due__lte=now)), failed=Count("pk", filter=failed))
    )
    return DueWork(
        work="reportes",
        overdue_s=overdue(found["since"], now),
        tolerance_s=SENDING_PATIENCE_S,
        late="Hay correos de la semana que debieron salir",
        late_advice="Revisa que el worker de Celery y Beat estén corriendo, y que el servidor de correo responda.",
        failed=found["failed"],
        failure="correos de la semana no salieron",
        failure_advice="En «reportes semanales» está lo que dijo el servidor: corrige la dirección, y reenvía.",
    )


@lookup
def seguir(ids: Ids) -> Iterator[ExpectedEvent | Row | Limitation]:
    """Find sales and voids by the id of their event, or by the id of the sale."""
    if Cuenta.objects.order_by("pk")[MAESTROS:].exists():
        yield Limitation(
            f"la venta se buscó entre las de {MAESTROS} maestros, y hay más",
            "Busca con el id del evento: es el «first» o «last» de la línea de su petición en los registros.",
        )
    ventas = list(Venta.objects.filter(pk__in=ids | _event_ids(ids)))
    void_ids = {VentaAnulada.derive_id(venta.maestro_id, venta.venta_id) for venta in ventas}
    for venta in ventas:
        yield from _of_sale(venta)
    for anulacion in Anulacion.objects.filter(pk__in=ids | void_ids):
        estado = "aplicada" if anulacion.aplicada else "espera a su venta"
        yield Row(what="Anulación", state=estado, at=anulacion.anulada_en)
        key, near = str(anulacion.maestro_id), anulacion.anulada_en
        yield ExpectedEvent(id=anulacion.pk, event=VentaAnulada, key=key, near=near)


def _event_ids(ids: Ids) -> set[UUID]:
    """Return the ids that the events of sales with these client ids would have.

    A client's id is unique per maestro only, so the event's id is derived for each maestro. The
    rows are then read by index.
    """
    maestros = Cuenta.objects.order_by("pk").values_list("pk", flat=True)[:MAESTROS]
    return {VentaRegistrada.derive_id(maestro, venta_id) for maestro in maestros for venta_id in ids}


def _of_sale(venta: Venta) -> Iterator[ExpectedEvent | Row]:
    anulada = ", anulada" if venta.anulada_en else ""
    estado = f"en la semana del {venta.semana_contable:%d-%m-%Y}{anulada}"
    url = reverse("admin:ventas_venta_change", args=[venta.pk])
    yield Row(what="Venta en el libro", state=estado, at=venta.registrada_en, url=url)
    yield ExpectedEvent(id=venta.pk, event=VentaRegistrada, key=str(venta.maestro_id), near=venta.registrada_en)
    for reporte in ReporteSemanal.objects.filter(semana_id=venta.semana_contable, maestro_id=venta.maestro_id):
        url = reverse("admin:ventas_reportesemanal_change", args=[reporte.pk])
        at = reporte.enviado_en or reporte.creado_en
        yield Row(what="Correo de la semana", state=reporte.get_envio_display(), at=at, url=url, is_mail=True)
