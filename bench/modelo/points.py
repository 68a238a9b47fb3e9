"""The measured points that the model is fitted to, and those that it must predict."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from bench.openloop.summary import CPU_OF

# Processes whose CPU hardly depends on the sales are one part.
PARTS: Final = {
    "web": ("web",),
    "Kafka": ("kafka",),
    "PostgreSQL": ("postgresql",),
    "contabilidad": ("consumer-contabilidad",),
    "inventario": ("consumer-inventario",),
    "distribuidores": ("consumer-distribuidores",),
    "relay": ("outbox-relay",),
    "others": ("consumer-aprobacion", "celery-worker", "celery-beat", "valkey"),
}
WITHOUT_NOTICES: Final = ("web", "contabilidad", "inventario")  # what a load without empty carts uses as one with them
CLOSED: Final = "mamochi, 64 connections"

Points = dict[str, list[tuple[float, float]]]


def of_carga(result: Mapping[str, Any]) -> Points:
    """Return by part the accepted rate and the cores used, of each step and round."""
    return {
        part: [(step["accepted per second"], _cores(step, names)) for step in result["points"]]
        for part, names in PARTS.items()
    }


def _cores(step: Mapping[str, float], names: Sequence[str]) -> float:
    return sum(step[CPU_OF + name] for name in names) * step["accepted per second"] / 1_000


def of_api(result: Mapping[str, Any]) -> tuple[float, dict[str, float]]:
    """Return the rate of 64 connections that never pause, and the ms of CPU per sale by part."""
    also = result["also"]
    costs = {
        part: sum(also.get(f"{CLOSED}: CPU of {name} per sale, ms", 0.0) for name in names)
        for part, names in PARTS.items()
        if part in WITHOUT_NOTICES
    }
    return float(result["medians"][CLOSED]), costs


def without_the_greatest(result: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """Return the result without the steps of its greatest rate, and that rate."""
    greatest = max(step["rate"] for step in result["points"])
    kept = [step for step in result["points"] if step["rate"] != greatest]
    return {**result, "points": kept}, greatest


def cost_at(result: Mapping[str, Any], rate: float) -> dict[str, tuple[float, float]]:
    """Return by part the median rate that was accepted at a step, and the median ms per sale."""
    steps = [step for step in result["points"] if step["rate"] == rate]
    accepted = median(step["accepted per second"] for step in steps)
    costs = {
        part: median(sum(step[CPU_OF + name] for name in names) for step in steps) for part, names in PARTS.items()
    }
    return {part: (accepted, ms) for part, ms in costs.items()}
