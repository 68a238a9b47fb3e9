"""What the accounts add to the admin's home and to a maestro's page."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.contrib.auth.models import AbstractUser
from django.core.cache import cache
from django.db.models import Count, Min
from django.urls import reverse
from django.utils import timezone

from gremio.desk import Panel, Row, Waiting, hours_chart
from gremio.formats import miles, pesos
from ventas import calendario
from ventas.models import Anulacion, ReporteSemanal, Semana, Venta
from ventas.semanas import reports

WEEKS_SHOWN: Final = 4
REPORTS_SHOWN: Final = 8  # weeks on a maestro's page
SALES_SHOWN: Final = 5
SALES_SECONDS: Final = 60  # how old today's sales may be: a day has many
REPORTS: Final = "admin:ventas_reportesemanal_changelist"
LEDGER: Final = "admin:ventas_venta_changelist"


def waiting(user: AbstractUser, now: datetime) -> Iterator[Waiting]:
    """Yield the weeks that are late to close, the e-mails that failed, and voids without a sale."""
    if user.has_perm("ventas.view_semana"):
        ended = Semana.objects.exclude(estado=Semana.Estado.CERRADA).filter(hasta__lte=now)
        found = ended.aggregate(Count("pk"), since=Min("hasta"))
        url = reverse("admin:ventas_semana_changelist")
        yield Waiting(what="Semanas por cerrar", count=found["pk__count"], since=found["since"], url=url)
    if user.has_perm("ventas.view_reportesemanal"):
        failed = ReporteSemanal.objects.filter(envio=ReporteSemanal.EstadoCorreo.FALLIDO)
        url = f"{reverse(REPORTS)}?envio__exact={ReporteSemanal.EstadoCorreo.FALLIDO}"
        yield Waiting(what="Correos de la semana que no salieron", count=failed.count(), url=url)
    if user.has_perm("ventas.view_anulacion"):
        lone = Anulacion.objects.filter(aplicada=False).count()
        url = f"{reverse('admin:ventas_anulacion_changelist')}?aplicada__exact=0"
        yield Waiting(what="Anulaciones sin su venta", count=lone, url=url)


def panels(user: AbstractUser, now: datetime) -> Iterator[Panel]:
    """Yield the last weeks with what they wait for, and today's sales by hour."""
    if user.has_perm("ventas.view_semana"):
        yield Panel(
            title="La semana",
            rows=[_week(semana, now) for semana in Semana.objects.all()[:WEEKS_SHOWN]],
            empty="Todavía no se ha vendido.",
            more=("Todas las semanas", reverse("admin:ventas_semana_changelist")),
        )
    if user.has_perm("ventas.view_venta"):
        today = f"ventas-por-hora-{calendario.dia_en_chile(now)}"
        per_hour = cache.get_or_set(today, lambda: reports.ventas_por_hora(ahora=now), SALES_SECONDS) or {}
        yield Panel(
            title="Ventas de hoy",
            picture=hours_chart(per_hour, what="ventas"),
            more=("Las ventas de la semana", reverse(LEDGER)),
        )


def _week(semana: Semana, now: datetime) -> Row:
    last = calendario.dias(semana.lunes)[-1]
    days = f"{semana.lunes:%d-%m} al {last:%d-%m}"
    if semana.cerrada and semana.cerrada_en:
        state = f"cerrada el {timezone.localtime(semana.cerrada_en):%d-%m a las %H:%M}"
    elif semana.hasta > now:
        state = f"abierta, se cierra el {timezone.localtime(semana.hasta):%d-%m a las %H:%M}"
    else:
        state = f"por cerrar. {semana.espera or 'Espera a que Celery la cierre.'}"
    note = f"{days}: {state}" + (f" {semana.advertencia}" if semana.advertencia else "")
    return Row(text=str(semana), url=reverse("admin:ventas_semana_change", args=[semana.pk]), note=note)


def of_maestro(user: AbstractUser, maestro_id: UUID, now: datetime) -> Iterator[Panel]:
    """Yield a maestro's last weeks, with their e-mails, and last sales."""
    if user.has_perm("ventas.view_reportesemanal"):
        # The index begins with the week, so the weeks are named.
        weeks = [calendario.semana_de(now) - timedelta(weeks=n) for n in range(REPORTS_SHOWN + 1)]
        found = ReporteSemanal.objects.filter(semana__in=weeks, maestro_id=maestro_id).order_by("-semana_id")
        yield Panel(
            title="Sus semanas y sus correos",
            rows=[_report(report) for report in found],
            empty="Todavía no se cierra una semana suya.",
        )
    if user.has_perm("ventas.view_venta"):
        sales = Venta.objects.filter(maestro_id=maestro_id).order_by("-vendida_en", "-id")
        yield Panel(
            title="Últimas ventas",
            rows=[_sale(sale) for sale in sales[:SALES_SHOWN]],
            empty="Todavía no vende.",
            more=("Las de esta semana", f"{reverse(LEDGER)}?q={maestro_id}"),
        )


def _report(report: ReporteSemanal) -> Row:
    text = f"{calendario.codigo(report.semana_id)}: {miles(report.cantidad_ventas)} ventas, {pesos(report.ganancias)}"
    url = reverse("admin:ventas_reportesemanal_change", args=[report.pk])
    return Row(text=text, url=url, note=f"correo {report.get_envio_display()}")


def _sale(sale: Venta) -> Row:
    moment = f"{timezone.localtime(sale.vendida_en):%d-%m-%Y %H:%M}"
    note = f"{moment}, anulada" if sale.anulada_en else moment
    url = reverse("admin:ventas_venta_change", args=[sale.pk])
    return Row(text=f"{sale}, {pesos(sale.ingresos)}", url=url, note=note)
