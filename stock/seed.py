"""What a new installation starts with. The migration and the tests call the same function; it never overwrites."""

from typing import Any, Final

from gremio.permissions import make_group

# Enough for ten `mediano`: mote in g, huesillos in pieces, jugo in ml, cups in pieces.
INSUMOS: Final = {
    "mote": {"nombre": "Mote", "unidad": "g", "capacidad": 1_500},
    "huesillo": {"nombre": "Huesillo", "unidad": "un", "capacidad": 20},
    "jugo": {"nombre": "Jugo", "unidad": "ml", "capacidad": 3_000},
    "vaso": {"nombre": "Vaso", "unidad": "un", "capacidad": 10},
}
SECONDS_BETWEEN_SWEEPS: Final = 10
GRUPO: Final = "Distribuidores"
PERMISOS: Final = (
    *("view_carro", "view_existencia", "view_movimiento", "view_aviso", "view_anulacion", "view_insumo"),
    "corregir_stock",
)


def sembrar(apps: Any) -> None:
    """Makes the ingredients and Beat's schedule where they are missing. `apps`: the registry, historical in a migration."""
    for codigo, datos in INSUMOS.items():
        apps.get_model("stock", "Insumo").objects.get_or_create(codigo=codigo, defaults=datos)
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects
    ours = {"every": SECONDS_BETWEEN_SWEEPS, "period": "seconds"}
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name="Stock: revisar avisos abiertos",
        defaults={
            "task": "stock.tasks.revisar_avisos",
            "interval": intervals.filter(**ours).first() or intervals.create(**ours),
            "expire_seconds": SECONDS_BETWEEN_SWEEPS,
            "description": "Cierra los avisos que quedaron esperando ventas y avisa lo agotado que nadie avisó.",
        },
    )


def sembrar_grupo(apps: Any) -> None:
    """Those who fill the carts: they see all of them, and correct what one holds."""
    make_group(apps, "stock", GRUPO, PERMISOS)
