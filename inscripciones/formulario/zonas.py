"""The time zone of a comuna. Chile has four: most of the country, Aysén, Magallanes, Rapa Nui."""

import csv
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from inscripciones.formulario.normalizacion import COMUNAS_CSV

CONTINENTAL: Final = "America/Santiago"
PUNTA_ARENAS: Final = "America/Punta_Arenas"
BY_REGION: Final = {
    "Magallanes y de la Antártica Chilena": PUNTA_ARENAS,
    "Aysén del General Carlos Ibáñez del Campo": "America/Coyhaique",
}
BY_COMUNA: Final = {"Isla de Pascua": "Pacific/Easter"}


@cache
def zona_de(comuna: str) -> str:
    """Return the name of the zone, for a comuna in its official spelling.

    It is the continental one for an unknown comuna.
    """
    zone = BY_COMUNA.get(comuna) or BY_REGION.get(_regions().get(comuna, ""), CONTINENTAL)
    try:
        ZoneInfo(zone)
    except ZoneInfoNotFoundError:
        # Systems of before 2025 lack Coyhaique, which has had the time of Punta Arenas since then.
        return PUNTA_ARENAS
    return zone


@cache
def _regions() -> dict[str, str]:
    with COMUNAS_CSV.open(encoding="utf-8", newline="") as file:
        return {row["comuna"]: row["region"] for row in csv.DictReader(file)}
