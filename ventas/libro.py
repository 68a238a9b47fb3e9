"""The ledger's rules: which week counts a sale, and how sales and voids enter the ledger.

The consumer `contabilidad` calls these functions in its transaction. After a restore they may
receive an event a second time.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Max

from gremio.arrays import array_of
from gremio.copy import Row, insert_missing
from gremio.transactions import transaction_required
from ventas import calendario
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.models import Anulacion, Cuenta, Semana, Venta

CONTABILIDAD: Final = "contabilidad"  # the consumer that writes the ledger

# The columns of a new sale and their PostgreSQL types, in the order of `row_of`.
COLUMNS: Final = {
    "id": "uuid",
    "venta_id": "uuid",
    "maestro_id": "uuid",
    "producto": "text",
    "cantidad": "int4",
    "precio_unitario": "int4",
    "costo_unitario": "int4",
    "vendida_en": "timestamptz",
    "dia": "date",
    "registrada_en": "timestamptz",
    "semana_contable": "date",
}


@transaction_required
def registrar(ventas: Sequence[VentaRegistrada]) -> None:
    """Enter sales in the ledger, each one once.

    The week that counts a sale stays open until the caller's transaction ends.
    """
    dias = [calendario.dia_en_chile(venta.vendida_en) for venta in ventas]
    lunes = {dia: calendario.lunes_de(dia) for dia in set(dias)}
    contables = semanas_contables(lunes.values())
    filas = [row_of(venta, dia, contables[lunes[dia]]) for venta, dia in zip(ventas, dias, strict=True)]
    insert_missing("ventas_venta", COLUMNS, filas)
    aplicar_anulaciones([venta.id for venta in ventas])


def row_of(venta: VentaRegistrada, dia: date, semana_contable: date) -> Row:
    return (
        venta.id,
        venta.venta_id,
        venta.maestro_id,
        venta.producto,
        venta.cantidad,
        venta.precio_unitario,
        venta.costo_unitario,
        venta.vendida_en,
        dia,
        venta.time,
        semana_contable,
    )


@transaction_required
def anular(anulaciones: Sequence[VentaAnulada]) -> None:
    """Take sales back, each one once. A void that arrives before its sale waits in its row."""
    filas = [
        Anulacion(
            id=anulacion.id,
            venta=VentaRegistrada.derive_id(anulacion.maestro_id, anulacion.venta_id),
            venta_id=anulacion.venta_id,
            maestro_id=anulacion.maestro_id,
            motivo=anulacion.motivo,
            anulada_en=anulacion.time,
        )
        for anulacion in anulaciones
    ]
    Anulacion.objects.bulk_create(filas, ignore_conflicts=True)
    aplicar_anulaciones([fila.venta for fila in filas])


_WAITING_VOIDS: Final = (
    "SELECT id, venta, anulada_en FROM ventas_anulacion WHERE NOT aplicada AND venta = ANY(%s::uuid[])"
)


@transaction_required
def aplicar_anulaciones(ventas: list[UUID]) -> None:
    """Take back those of the given sales (ids of events) for which a void is waiting.

    A sale is subtracted in its own accounting week or, if that week has closed, in the first open
    one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WAITING_VOIDS, [array_of(ventas)])
        esperan = {venta: (anulacion, anulada_en) for anulacion, venta, anulada_en in cursor.fetchall()}
    anuladas = list(Venta.objects.filter(id__in=list(esperan))) if esperan else []
    if not anuladas:
        return
    contables = semanas_contables({venta.semana_contable for venta in anuladas})
    for venta in anuladas:
        venta.anulada_en = esperan[venta.id][1]
        venta.semana_anulacion = contables[venta.semana_contable]
    Venta.objects.bulk_update(sorted(anuladas, key=lambda venta: venta.id), ["anulada_en", "semana_anulacion"])
    Anulacion.objects.filter(id__in=[esperan[venta.id][0] for venta in anuladas]).update(aplicada=True)


@transaction_required
def semanas_contables(de_venta: Iterable[date]) -> dict[date, date]:
    """Return, for each week of sales, the week that counts them. Weeks are Mondays.

    That is the week itself or, if it has closed, the first open week. The returned weeks are locked
    FOR SHARE: they cannot close before the caller's transaction ends.
    """
    contables = {lunes: lunes for lunes in de_venta}
    while not _lock_open_weeks(set(contables.values())):
        abierta = _first_open_week()
        contables = {lunes: max(lunes, abierta) for lunes in contables}
        Semana.objects.bulk_create(map(Semana.nueva, sorted(set(contables.values()))), ignore_conflicts=True)
    return contables


_LOCK_WEEKS: Final = "SELECT estado FROM ventas_semana WHERE lunes = ANY(%s::date[]) ORDER BY lunes FOR SHARE"


def _lock_open_weeks(lunes: Collection[date]) -> bool:
    """Lock the weeks for sharing; return False if one of them has no row or has closed."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_WEEKS, [array_of(lunes)])
        estados = [estado for (estado,) in cursor.fetchall()]
    return len(estados) == len(lunes) and Semana.Estado.CERRADA not in estados


def _first_open_week() -> date:
    """Return the week after the last closed one.

    Weeks close in order, so all later weeks are open.
    """
    ultima: date | None = Semana.objects.filter(estado=Semana.Estado.CERRADA).aggregate(ultima=Max("lunes"))["ultima"]
    return ultima + calendario.SEMANA if ultima else date.min


def abrir_cuentas(cuentas: Iterable[Cuenta]) -> None:
    """Add the accounts of maestros that do not have one yet.

    An account that a correction of the address opened before keeps that address.
    """
    por_maestro = {cuenta.maestro_id: cuenta for cuenta in cuentas}
    Cuenta.objects.bulk_create(
        [por_maestro[maestro_id] for maestro_id in sorted(por_maestro)],
        update_conflicts=True,
        unique_fields=["maestro_id"],
        update_fields=["nombre", "abierta_en"],
    )


_CORRECT_ADDRESSES: Final = """
    INSERT INTO ventas_cuenta (maestro_id, nombre, email, abierta_en, correo_desde)
    SELECT DISTINCT ON (maestro_id) maestro_id, '', email, desde, desde
        FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) dada (maestro_id, email, desde)
        ORDER BY maestro_id, desde DESC
    ON CONFLICT (maestro_id) DO UPDATE SET email = excluded.email, correo_desde = excluded.correo_desde
        WHERE ventas_cuenta.correo_desde IS NULL OR ventas_cuenta.correo_desde < excluded.correo_desde"""


def corregir_correos(correcciones: Iterable[tuple[UUID, str, datetime]]) -> None:
    """Store corrected addresses, given as (maestro, address, time of the correction).

    The newest correction of each maestro wins, in whatever order the corrections arrive. One that
    arrives before the approval opens the account, without a name until then.
    """
    columnas = [list(columna) for columna in zip(*correcciones, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_CORRECT_ADDRESSES, columnas)
