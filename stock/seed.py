"""The rows of a new installation: ingredients, the sweep in Beat's schedule, and a group."""

from typing import Any, Final

from gremio.seed import make_group, run_every

# By code. The capacity of a cart is enough for ten `mediano`.
INSUMOS: Final = {
    "mote": {"nombre": "Mote", "unidad": "g", "capacidad": 1_500},
    "huesillo": {"nombre": "Huesillo", "unidad": "un", "capacidad": 20},
    "jugo": {"nombre": "Jugo", "unidad": "ml", "capacidad": 3_000},
    "vaso": {"nombre": "Vaso", "unidad": "un", "capacidad": 10},
}
SWEEP_SECONDS: Final = 10
GRUPO: Final = "Distribuidores"
PERMISSIONS: Final = (
    "view_carro",
    "view_existencia",
    "view_movimiento",
    "view_aviso",
    "view_anulacion",
    "view_insumo",
    "corregir_stock",
)


def sembrar(apps: Any) -> None:
    """Add the rows that are missing; rows that staff have changed stay as they are.

    `apps`: a migration's registry, or Django's. The migration and the tests call this same
    function.
    """
    for codigo, datos in INSUMOS.items():
        apps.get_model("stock", "Insumo").objects.get_or_create(codigo=codigo, defaults=datos)
    run_every(
        apps,
        SWEEP_SECONDS,
        name="Stock: revisar avisos abiertos",
        task="stock.tasks.revisar_avisos",
        description="Cierra los avisos que quedaron esperando ventas y avisa lo agotado que nadie avisó.",
    )
    make_group(apps, "stock", GRUPO, PERMISSIONS)
