"""What the carts add to the admin's home and to a maestro's page."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from uuid import UUID

from django.contrib.auth.models import AbstractUser
from django.db.models import Count, Min
from django.urls import reverse
from django.utils import timezone

from gremio.desk import Panel, Row, Waiting, hours_chart
from stock import reports
from stock.admin.carros import stock_bars
from stock.models import Aviso, Carro, Existencia, Movimiento

CARTS_SHOWN: Final = 6
LINES_SHOWN: Final = 5  # of each list on a maestro's page
CARTS: Final = "admin:stock_carro_changelist"
ONE: Final = "admin:stock_carro_change"


def waiting(user: AbstractUser, now: datetime) -> Iterator[Waiting]:
    """Yield the carts in which something is out, and the notices that are open."""
    if user.has_perm("stock.view_carro"):
        out = Existencia.objects.filter(cantidad__lte=0).aggregate(carts=Count("carro", distinct=True))
        yield Waiting(what="Carros con algo agotado", count=out["carts"], url=f"{reverse(CARTS)}?stock=agotado")
    if user.has_perm("stock.view_aviso"):
        found = Aviso.objects.filter(estado=Aviso.Estado.ABIERTO).aggregate(Count("pk"), since=Min("abierto_en"))
        url = f"{reverse('admin:stock_aviso_changelist')}?estado__exact={Aviso.Estado.ABIERTO}"
        yield Waiting(what="Avisos abiertos", count=found["pk__count"], since=found["since"], url=url)


def panels(user: AbstractUser, now: datetime) -> Iterator[Panel]:
    """Yield the carts that run out next, and today's restocks by hour."""
    if user.has_perm("stock.view_carro"):
        yield Panel(
            title="Carros por agotarse",
            rows=[
                Row(
                    text=next_one.carro,
                    url=reverse(ONE, args=[next_one.maestro_id]),
                    note=f"{next_one.insumo}: queda {next_one.queda}, "
                    f"se acaba a las {timezone.localtime(next_one.se_agota_en):%H:%M}",
                )
                for next_one in reports.proximos_en_agotarse(CARTS_SHOWN, ahora=now)
            ],
            empty="Nadie ha vendido en la última hora.",
            more=("Todos los carros", reverse(CARTS)),
        )
    if user.has_perm("stock.view_movimiento"):
        per_hour = reports.reposiciones_por_hora(ahora=now)
        url = f"{reverse('admin:stock_movimiento_changelist')}?tipo__exact={Movimiento.Tipo.REPOSICION}"
        yield Panel(
            title="Reposiciones de hoy",
            picture=hours_chart(per_hour, what="reposiciones"),
            more=("Todas las reposiciones", url),
        )


def of_maestro(user: AbstractUser, maestro_id: UUID, now: datetime) -> Iterator[Panel]:
    """Yield a maestro's cart with its last movements and notices."""
    if user.has_perm("stock.view_carro"):
        stock = Existencia.objects.filter(carro=maestro_id).select_related("insumo").order_by("insumo")
        carro = Carro.objects.filter(pk=maestro_id).first()
        yield Panel(
            title="Carro",
            picture=stock_bars(stock),
            rows=[Row(text="Abrir su carro", url=reverse(ONE, args=[maestro_id]))] if carro else [],
            empty="Su carro todavía no llega.",
        )
    if user.has_perm("stock.view_aviso"):
        notices = Aviso.objects.filter(carro=maestro_id).order_by("-abierto_en")
        yield Panel(
            title="Avisos de lo que se acabó", rows=[_notice(one) for one in notices[:LINES_SHOWN]], empty="Ninguno."
        )
    if user.has_perm("stock.view_movimiento"):
        lines = Movimiento.objects.filter(carro=maestro_id).order_by("-ocurrido_en")
        yield Panel(
            title="Últimos movimientos", rows=[_line(one) for one in lines[:LINES_SHOWN]], empty="Todavía no hay."
        )


def _notice(one: Aviso) -> Row:
    moment = f"{timezone.localtime(one.abierto_en):%d-%m-%Y %H:%M}"
    return Row(text=str(one).capitalize(), url=reverse("admin:stock_aviso_change", args=[one.pk]), note=moment)


def _line(one: Movimiento) -> Row:
    moment = f"{timezone.localtime(one.ocurrido_en):%d-%m-%Y %H:%M}"
    return Row(text=str(one).capitalize(), url=reverse("admin:stock_movimiento_change", args=[one.pk]), note=moment)
