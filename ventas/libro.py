"""The accounts' rules: which week counts a sale, how sales and voids enter the ledger.

Everything here runs in the caller's transaction (the consumer's) and may see an event again after a restore.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max
from django.db.utils import IntegrityError
from psycopg.errors import UniqueViolation

from ventas import calendario
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.models import Anulacion, Cuenta, Semana, Venta

# The columns of a new sale and their PostgreSQL types, in the order of `_fila`.
COLUMNAS: Final = {
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
COPY: Final = f"COPY ventas_venta ({', '.join(COLUMNAS)}) FROM STDIN (FORMAT BINARY)"
BLOQUEAR: Final = "SELECT estado FROM ventas_semana WHERE lunes = ANY(%s) ORDER BY lunes FOR SHARE"
ESPERAN: Final = "SELECT id, venta, anulada_en FROM ventas_anulacion WHERE NOT aplicada AND venta = ANY(%s::uuid[])"
Fila = tuple[object, ...]


def registrar(ventas: Sequence[VentaRegistrada]) -> None:
    """Enters sales in the ledger, each once, in a week that is open and stays so until the caller commits."""
    dias = [calendario.dia_en_chile(venta.vendida_en) for venta in ventas]
    contables = semanas_contables({calendario.lunes_de(dia) for dia in dias})
    filas = [_fila(venta, dia, contables[calendario.lunes_de(dia)]) for venta, dia in zip(ventas, dias, strict=True)]
    _insertar(filas)
    aplicar_anulaciones([venta.id for venta in ventas])


def anular(anulaciones: Sequence[VentaAnulada]) -> None:
    """Takes sales back, each once. One whose sale has not come yet waits for it in its row."""
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


def abrir_cuentas(cuentas: Iterable[Cuenta]) -> None:
    """Adds the maestros that the accounts do not know yet."""
    Cuenta.objects.bulk_create(cuentas, ignore_conflicts=True)


_CORREGIR: Final = """
    UPDATE ventas_cuenta SET email = nueva.email, correo_desde = nueva.desde
    FROM (
        SELECT DISTINCT ON (maestro_id) * FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[])
            dada (maestro_id, email, desde) ORDER BY maestro_id, desde DESC
    ) nueva
    WHERE ventas_cuenta.maestro_id = nueva.maestro_id
        AND (ventas_cuenta.correo_desde IS NULL OR ventas_cuenta.correo_desde < nueva.desde)"""


def corregir_correos(correcciones: Iterable[tuple[UUID, str, datetime]]) -> None:
    """Writes to the right address from now on: of each maestro the newest (maestro, address, since when) holds."""
    columnas = [list(columna) for columna in zip(*correcciones, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_CORREGIR, columnas)


def semanas_contables(de_venta: Iterable[date]) -> dict[date, date]:
    """The week that counts the sales of each given week (Mondays): itself, or the first open one where it has closed.

    Holds those weeks FOR SHARE: they cannot close before the caller's transaction ends. Needs a transaction.
    """
    contables = {lunes: lunes for lunes in de_venta}
    while not _retener(set(contables.values())):
        abierta = _primera_abierta()
        contables = {lunes: max(lunes, abierta) for lunes in contables}
        Semana.objects.bulk_create(map(Semana.nueva, sorted(set(contables.values()))), ignore_conflicts=True)
    return contables


def _primera_abierta() -> date:
    """Weeks close in their order, so all after the last closed one are open."""
    ultima: date | None = Semana.objects.filter(estado=Semana.Estado.CERRADA).aggregate(ultima=Max("lunes"))["ultima"]
    return ultima + calendario.SEMANA if ultima else date.min


def _retener(lunes: Collection[date]) -> bool:
    """Locks the weeks for sharing; False where one is not there, or has closed."""
    with connection.cursor() as cursor:
        cursor.execute(BLOQUEAR, [list(lunes)])
        estados = [estado for (estado,) in cursor.fetchall()]
    return len(estados) == len(lunes) and Semana.Estado.CERRADA not in estados


def _fila(venta: VentaRegistrada, dia: date, semana_contable: date) -> Fila:
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


def _insertar(filas: list[Fila]) -> None:
    """COPY straight into the table, the fastest way; where a row is there already (a retry, a replay), row by row."""
    try:
        with transaction.atomic():
            _copiar(filas)
    except IntegrityError as error:
        if not isinstance(error.__cause__, UniqueViolation):
            raise
        ventas = (Venta(**dict(zip(COLUMNAS, fila, strict=True))) for fila in filas)
        Venta.objects.bulk_create(ventas, ignore_conflicts=True)


def _copiar(filas: list[Fila]) -> None:
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(COPY) as copy:
        copy.set_types(list(COLUMNAS.values()))
        for fila in filas:
            copy.write_row(fila)


def aplicar_anulaciones(ventas: list[UUID]) -> None:
    """Takes back those of these sales (event ids) that a waiting void names: in their own week, or in the open one."""
    with connection.cursor() as cursor:
        cursor.execute(ESPERAN, [f"{{{','.join([venta.hex for venta in ventas])}}}"])  # half the time of a list
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
