"""The rows of a new installation: the first catalogue, Beat's schedule, and a group.

A migration calls these functions, and so do tests, because transactional tests empty the tables.
They add missing rows only: edits by staff stay. `apps` is a migration's registry of models, or
Django's.
"""

from decimal import Decimal
from typing import Any, Final

from django.apps import apps as installed_apps

from gremio.seed import make_group
from ventas.catalogo import historia

INSUMOS: Final = {
    # code: (name, unit, CLP per unit)
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
HINT_EXPIRES_SECONDS: Final = 60  # a worker that was off for a weekend does not find all its tasks
SCHEDULES: Final = {
    # name: (task, minute, hour, day of the week), Chilean time
    CERRAR_LUNES: ("ventas.tasks.cerrar_semanas", "10", "0", "1"),
    CERRAR_PENDIENTES: ("ventas.tasks.cerrar_semanas", "*", "*", "*"),
    ENVIAR_REPORTES: ("ventas.tasks.enviar_reportes", "*", "*", "*"),
}
GRUPO: Final = "Contadores"
PERMISOS: Final = (
    *("view_venta", "view_anulacion", "view_cuenta", "view_semana", "view_reportesemanal", "reenviar_reporte"),
    *(
        "view_producto",
        "view_insumo",
        "view_receta",
        "view_cambiodecatalogo",
        "change_producto",
        "change_insumo",
        "change_receta",
    ),
)


def sembrar(apps: Any = installed_apps) -> None:
    """Add all that is missing."""
    sembrar_catalogo(apps)
    sembrar_horarios(apps)
    sembrar_grupo(apps)


def sembrar_catalogo(apps: Any = installed_apps) -> None:
    """Add the ingredients and products that are missing, products with their recipes.

    A product that this adds counts as always sold, at this price.
    """
    with historia.en_pausa():
        _sembrar_productos(apps)
    historia.sembrar(apps)


def _sembrar_productos(apps: Any) -> None:
    insumos, productos = apps.get_model("ventas", "Insumo").objects, apps.get_model("ventas", "Producto").objects
    receta = apps.get_model("ventas", "Receta")
    for codigo, (nombre, unidad, costo) in INSUMOS.items():
        insumos.get_or_create(codigo=codigo, defaults={"nombre": nombre, "unidad": unidad, "costo": costo})
    for codigo, (nombre, precio, cantidades) in PRODUCTOS.items():
        producto, is_new = productos.get_or_create(codigo=codigo, defaults={"nombre": nombre, "precio": precio})
        if is_new:
            receta.objects.bulk_create(
                receta(producto=producto, insumo_id=insumo, cantidad=cantidad)
                for insumo, cantidad in cantidades.items()
            )


def sembrar_horarios(apps: Any = installed_apps) -> None:
    """Add Beat's rows that are missing; staff may move or disable them in the admin."""
    crontabs = apps.get_model("django_celery_beat", "CrontabSchedule").objects
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects
    for name, (task, minute, hour, day_of_week) in SCHEDULES.items():
        crontab, _ = crontabs.get_or_create(
            minute=minute,
            hour=hour,
            day_of_week=day_of_week,
            day_of_month="*",
            month_of_year="*",
            timezone="America/Santiago",
        )
        defaults = {"task": task, "crontab": crontab, "expire_seconds": HINT_EXPIRES_SECONDS}
        tasks.get_or_create(name=name, defaults=defaults)


def sembrar_grupo(apps: Any = installed_apps) -> None:
    """Add the accountants' group.

    They read everything, send reports again, and set prices and costs.
    """
    make_group(apps, "ventas", GRUPO, PERMISOS)
