"""What the accounts know of an id: the sale, its void, and the weekly mail that counts it."""

from collections.abc import Iterator
from uuid import UUID

from django.urls import reverse

from kafka_bridge.tracing import Clue, Gap, Ids, Row, tracer
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.models import Anulacion, Cuenta, ReporteSemanal, Venta

MAESTROS = 10_000  # for whom a sale's event id is worked out from the client's id


@tracer
def seguir(ids: Ids) -> Iterator[Clue | Row | Gap]:
    """By the event's id, or the sale's."""
    if Cuenta.objects.order_by("pk")[MAESTROS:].exists():
        yield Gap(
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
        yield Clue(id=anulacion.pk, event=VentaAnulada, key=key, near=near)


def _eventos_de(ids: Ids) -> set[UUID]:
    """The sale's id is the client's own, unique for a maestro: its event's id is worked out for each, by index then."""
    maestros = Cuenta.objects.order_by("pk").values_list("pk", flat=True)[:MAESTROS]
    return {VentaRegistrada.derive_id(maestro, venta_id) for maestro in maestros for venta_id in ids}


def _anulada(venta: Venta) -> UUID:
    return VentaAnulada.derive_id(venta.maestro_id, venta.venta_id)


def _de_venta(venta: Venta) -> Iterator[Clue | Row]:
    anulada = ", anulada" if venta.anulada_en else ""
    contable = f"en la semana del {venta.semana_contable:%d-%m-%Y}{anulada}"
    pagina = reverse("admin:ventas_venta_change", args=[venta.pk])
    yield Row(what="Venta en el libro", state=contable, at=venta.registrada_en, url=pagina)
    yield Clue(id=venta.pk, event=VentaRegistrada, key=str(venta.maestro_id), near=venta.registrada_en)
    for reporte in ReporteSemanal.objects.filter(semana_id=venta.semana_contable, maestro_id=venta.maestro_id):
        pagina = reverse("admin:ventas_reportesemanal_change", args=[reporte.pk])
        momento = reporte.enviado_en or reporte.creado_en
        yield Row(what="Correo de la semana", state=reporte.get_envio_display(), at=momento, url=pagina, is_mail=True)
