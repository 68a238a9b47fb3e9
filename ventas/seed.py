"""What a new installation starts with. Called by a migration, and by tests, whose transactions empty the tables."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from django.apps import apps

from gremio.permissions import make_group

INSUMOS: Final = {
    # code: (name, unit, CLP a unit)
    "mote": ("Mote", "g", Decimal("1.20")),
    "huesillo": ("Huesillo", "un", Decimal(120)),
    "jugo": ("Jugo", "ml", Decimal("0.50")),
    "vaso": ("Vaso", "un", Decimal(40)),
}
PRODUCTOS: Final = {
    # code: (name, CLP, recipe)
    "chico": ("Mote con huesillo chico", 1_500, {"mote": 100, "huesillo": 1, "jugo": 200, "vaso": 1}),
    "mediano": ("Mote con huesillo mediano", 2_000, {"mote": 150, "huesillo": 2, "jugo": 300, "vaso": 1}),
    "grande": ("Mote con huesillo grande", 2_500, {"mote": 200, "huesillo": 3, "jugo": 400, "vaso": 1}),
}
CERRAR_LUNES: Final = "Contabilidad: cerrar la semana (lunes 00:10)"
CERRAR_PENDIENTES: Final = "Contabilidad: cerrar semanas pendientes"
ENVIAR_REPORTES: Final = "Contabilidad: enviar reportes semanales"
SEGUNDOS_DE_VIGENCIA: Final = 60  # of a hint: a worker that was off finds the last ones, not a weekend's
HORARIOS: Final = {
    # name: (task, minute, hour, day of the week), Chilean time
    CERRAR_LUNES: ("ventas.tasks.cerrar_semanas", "10", "0", "1"),
    CERRAR_PENDIENTES: ("ventas.tasks.cerrar_semanas", "*", "*", "*"),
    ENVIAR_REPORTES: ("ventas.tasks.enviar_reportes", "*", "*", "*"),
}
GRUPO: Final = "Contadores"
PERMISOS: Final = (
    *("view_venta", "view_anulacion", "view_cuenta", "view_semana", "view_reportesemanal", "reenviar_reporte"),
    *("view_producto", "view_insumo", "view_receta", "change_producto", "change_insumo", "change_receta"),
)

ObtenerModelo = Callable[[str, str], Any]


def sembrar_catalogo(modelo: ObtenerModelo = apps.get_model) -> None:
    """Adds what is missing of the catalogue; what staff have edited stays."""
    for codigo, (nombre, unidad, costo) in INSUMOS.items():
        campos = {"nombre": nombre, "unidad": unidad, "costo": costo}
        modelo("ventas", "Insumo").objects.get_or_create(codigo=codigo, defaults=campos)
    for codigo, (nombre, precio, receta) in PRODUCTOS.items():
        producto, nuevo = modelo("ventas", "Producto").objects.get_or_create(
            codigo=codigo, defaults={"nombre": nombre, "precio": precio}
        )
        if nuevo:
            _sembrar_receta(modelo, producto, receta)


def _sembrar_receta(modelo: ObtenerModelo, producto: Any, receta: dict[str, int]) -> None:
    linea = modelo("ventas", "Receta")
    linea.objects.bulk_create(
        linea(producto=producto, insumo_id=insumo, cantidad=cantidad) for insumo, cantidad in receta.items()
    )


def sembrar_horarios(modelo: ObtenerModelo = apps.get_model) -> None:
    """Adds Beat's rows that are missing; staff may move or disable them in the admin."""
    for nombre, (tarea, minuto, hora, dia) in HORARIOS.items():
        crontab, _ = modelo("django_celery_beat", "CrontabSchedule").objects.get_or_create(
            minute=minuto, hour=hora, day_of_week=dia, day_of_month="*", month_of_year="*", timezone="America/Santiago"
        )
        modelo("django_celery_beat", "PeriodicTask").objects.get_or_create(
            name=nombre, defaults={"task": tarea, "crontab": crontab, "expire_seconds": SEGUNDOS_DE_VIGENCIA}
        )


def sembrar_grupo(apps: Any) -> None:
    """Those who keep the accounts: they read all, send a report again, and set prices and costs."""
    make_group(apps, "ventas", GRUPO, PERMISOS)
