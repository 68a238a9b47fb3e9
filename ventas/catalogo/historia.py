"""The history of the catalogue: what each product cost, and whether it was sold, at any moment.

A save of a product, a recipe or an ingredient adds rows for the products that it changes, in the
same transaction. A change of another kind (`QuerySet.update`, SQL, a restore) sends no signal: a
web process notices it when it reads the catalogue, and calls `corregir`.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import local
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.db.models.signals import post_delete, post_save

from gremio.clock import database_now
from ventas.models import CambioDeCatalogo, Insumo, Producto, Receta, costo_de

DESDE_SIEMPRE: Final = datetime(2000, 1, 1, tzinfo=UTC)  # the first catalogue was always valid
LOCK: Final = 0x68697374  # "hist": one process at a time corrects the history

_pause: Final = local()


def connect() -> None:
    """Let saves and deletions of the catalogue's models add rows to the history."""
    for model in (Producto, Receta, Insumo):
        for signal in (post_save, post_delete):
            signal.connect(_changed, sender=model, dispatch_uid=f"historia {model.__name__}")


def _changed(raw: bool = False, **_: Any) -> None:
    if not raw and not getattr(_pause, "active", False):  # raw: a fixture is being loaded
        anotar()


@contextmanager
def como_un_cambio() -> Iterator[None]:
    """Note all saves of the block as one change, at its end, in the caller's transaction."""
    with en_pausa():
        yield
    anotar()


@contextmanager
def en_pausa() -> Iterator[None]:
    """Let saves in the block add nothing: the caller writes the history."""
    before, _pause.active = getattr(_pause, "active", False), True
    try:
        yield
    finally:
        _pause.active = before


def anotar() -> None:
    """Add a row for each product that differs from its last row.

    It is dated by the database's clock: one of several web machines may be wrong, and a price that
    is dated tomorrow would be valid from then on, whatever is changed today.
    """
    ultimos = CambioDeCatalogo.objects.order_by("producto", "-desde", "-id").distinct("producto")
    nuevos = diferencias(actual(), {uno.producto: uno for uno in ultimos})
    if nuevos:
        ahora = database_now()
        for nuevo in nuevos:
            nuevo.desde = ahora
    CambioDeCatalogo.objects.bulk_create(nuevos)


def sembrar(apps: Any) -> None:
    """Add a row for each product that has none: such a product counts as always sold."""
    cambios = apps.get_model("ventas", "CambioDeCatalogo")
    conocidos = set(cambios.objects.values_list("producto", flat=True))
    productos = apps.get_model("ventas", "Producto").objects.prefetch_related("receta__insumo")
    nuevos = [_estado(producto, cambios) for producto in productos if producto.codigo not in conocidos]
    for nuevo in nuevos:
        nuevo.desde = DESDE_SIEMPRE
    cambios.objects.bulk_create(nuevos)


def diferencias(actuales: Collection[Any], ultimos: dict[str, Any]) -> list[Any]:
    """Return the rows that the history lacks: changed and new products, and deleted ones."""
    cambiados = [uno for uno in actuales if uno.producto not in ultimos or _datos(uno) != _datos(ultimos[uno.producto])]
    quedan = {uno.producto for uno in actuales}
    return cambiados + [_borrado(uno) for uno in ultimos.values() if uno.activo and uno.producto not in quedan]


def _borrado(ultimo: Any) -> Any:
    """Return the row that says that a product is no longer sold, because it was deleted."""
    datos = {campo: getattr(ultimo, campo) for campo in ("producto", "nombre", "precio", "costo", "insumos")}
    return type(ultimo)(**datos, activo=False)


def _estado(producto: Any, cambios: Any) -> Any:
    receta = list(producto.receta.all())
    return cambios(
        producto=producto.codigo,
        nombre=producto.nombre,
        precio=producto.precio,
        costo=costo_de(receta),
        insumos={linea.insumo_id: linea.cantidad for linea in receta},
        activo=producto.activo,
    )


def _datos(uno: Any) -> tuple[Any, ...]:
    return uno.nombre, uno.precio, uno.costo, uno.insumos, uno.activo


def actual() -> list[CambioDeCatalogo]:
    """Return the products as they are in the tables now, also those that are not sold."""
    productos = Producto.objects.prefetch_related("receta__insumo")
    return [_estado(producto, CambioDeCatalogo) for producto in productos]


def desde(momento: datetime) -> list[CambioDeCatalogo]:
    """Return all that was valid at `momento` or later, oldest first. One query."""
    antes = CambioDeCatalogo.objects.filter(producto=OuterRef("producto"), desde__lte=momento)
    comienzo = Coalesce(Subquery(antes.order_by("-desde", "-id").values("desde")[:1]), DESDE_SIEMPRE)
    filas = CambioDeCatalogo.objects.alias(comienzo=comienzo)
    return list(filas.filter(desde__gte=F("comienzo")).order_by("desde", "id"))


def corregir() -> None:
    """Write down changes that no signal reported, unless another process is doing it."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
            [locked] = cursor.fetchone()
        if locked:
            anotar()
