"""How far beyond two cores: a law fitted to `bench carga`, checked, and carried to larger guilds.

Everything is computed from bench/results: carga.json (two cores), carga-1-core.json (one core, if
it is there), api.json, sink.json and inventario.json. The law must predict two measurements that it
was not fitted to: the greatest rate of carga, which is left out, and 64 connections of `bench api`
that never pause.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.modelo import points
from bench.modelo.law import Estimate, Fitted
from bench.modelo.scale import (
    BROKER_CORES,
    DATABASE_CORES,
    FULL,
    LEAST_BROKERS,
    REPLICAS,
    Guild,
    contention,
    full_at,
    plan,
)
from bench.openloop.orders import MEAN_SECONDS
from bench.openloop.summary import Point
from bench.result import RESULTS, Result, Say

SUMMARY: Final = (
    "what 10,000 to a million maestros need: a law fitted to carga, checked and extrapolated with intervals"
)
STARTS_ITS_SYSTEM = True  # it needs none: it reads bench/results
SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
SEED: Final = 1
SPEEDS: Final = {"contabilidad": "sink", "inventario": "inventario"}  # where what one process applies stands


def arguments(rest: Sequence[str]) -> argparse.Namespace:
    """Parse this benchmark's own options."""
    parser = argparse.ArgumentParser(prog="./dev bench modelo", description=SUMMARY)
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the resamples (default: {SEED})")
    return parser.parse_args(rest)


def run(say: Say, options: argparse.Namespace) -> Result:
    """Fit, check and extrapolate.

    The ratio is that of prediction and measurement of the rate left out, the smaller one above.
    """
    carga, api = _read("carga"), _read("api")
    fitted = {part: Fitted(each, options.seed) for part, each in points.of_carga(carga).items()}
    also = {
        f"law of {part}: {name}": 1_000 * float(number)
        for part, one in fitted.items()
        for name, number in zip(("ms per sale", "ms per batch", "ms gathered"), one.law, strict=True)
    }
    checks = {**_held_out(carga, options.seed), **_closed(fitted, api)}
    for name, (predicted, measured) in checks.items():
        said = "inside" if predicted.holds(measured) else "outside"
        say(f"{name}: predicted {_text(predicted)} ms, measured {measured:.2f} ms, {said} the interval")
        also |= _named(f"check, {name}: predicted", predicted) | {f"check, {name}: measured": measured}
    checked, _ = points.of_api(api)
    speeds = {name: float(_read(source)["medians"][name]) for name, source in SPEEDS.items()}
    # What the checks were off by is beyond what resamples of the same points can tell.
    off = max(max(each.value / ms, ms / each.value) for each, ms in checks.values())
    guilds = [plan(size, fitted, checked, speeds, off) for size in SIZES]
    for guild in guilds:
        say(f"{guild.maestros:,} maestros: " + ", ".join(f"{part} {_text(each)}" for part, each in guild.cores.items()))
        also |= _of_guild(guild)
    also |= _named(
        f"maestros that fill {DATABASE_CORES} cores of PostgreSQL", full_at(fitted["PostgreSQL"], checked).widened(off)
    )
    also |= _by_cores(carga)
    rounds = {f"check, {name}": [predicted.value, measured] for name, (predicted, measured) in checks.items()}
    predicted, measured = next(iter(checks.values()))
    ratio = min(predicted.value, measured) / max(predicted.value, measured)
    given: dict[str, float | str] = {
        "seed": options.seed,
        "greatest rate of the law": checked,
        "largest error of a check, as a factor": off,
        "seconds between sales": MEAN_SECONDS,
        "share of cores used": FULL,
        "cores of a broker": BROKER_CORES,
        "least brokers": LEAST_BROKERS,
        "replicas": REPLICAS,
        "cores of a database": DATABASE_CORES,
        "carga measured at": carga["measured_at"],
        "api measured at": api["measured_at"],
    }
    means = "prediction against measurement of the rate left out"
    return Result("modelo", SUMMARY, "ms", rounds, ratio, means, also, _curves(fitted, carga, checked), given)


def _read(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return result


def _held_out(carga: Mapping[str, Any], seed: int) -> dict[str, tuple[Estimate, float]]:
    """Return prediction and measurement of the greatest rate, to which the law was not fitted."""
    kept, greatest = points.without_the_greatest(carga)
    found = {}
    for part, (rate, measured) in points.cost_at(carga, greatest).items():
        law = Fitted(points.of_carga(kept)[part], seed)
        found[f"{part} at {greatest:g}/s"] = (law.cost(rate, with_noise=True), measured)
    total = Estimate(*(sum(getattr(each, end) for each, _ in found.values()) for end in ("value", "low", "high")))
    whole = (total, sum(measured for _, measured in found.values()))
    return {f"all at {greatest:g}/s": whole, **found}


def _closed(fitted: Mapping[str, Fitted], api: Mapping[str, Any]) -> dict[str, tuple[Estimate, float]]:
    """Return prediction and measurement of 64 connections that never pause."""
    rate, costs = points.of_api(api)
    return {f"{part} on 64 connections": (fitted[part].cost(rate, with_noise=True), ms) for part, ms in costs.items()}


def _of_guild(guild: Guild) -> dict[str, float]:
    name = f"{guild.maestros:,} maestros"
    figures = {f"{name}: sales/s": guild.rate}
    figures |= {f"{name}: partitions of {topic}": count for topic, count in guild.partitions.items()}
    figures |= {f"{name}: brokers": guild.brokers, f"{name}: databases": guild.databases}
    figures |= {f"{name}: processes of {part}": count for part, count in guild.processes.items()}
    for part, each in guild.cores.items():
        figures |= _named(f"{name}: cores of {part}", each)
    return figures


def _by_cores(two: Mapping[str, Any]) -> dict[str, float]:
    """Return what one core and two cores carried at most, and the contention between them."""
    if not (RESULTS / "carga-1-core.json").exists():
        return {}
    one = _read("carga-1-core")
    carried = [_most_carried(result) for result in (one, two)]
    figures = {"most sales/s on one core": max(carried[0]), "most sales/s on two cores": max(carried[1])}
    return figures | _named("contention", contention(*carried))


def _most_carried(result: Mapping[str, Any]) -> list[float]:
    """Return by round the most sales per second, those that waited at the end counted when done."""
    seconds = float(result["settings"]["seconds"])
    rates: dict[float, float] = {}
    for step in result["points"]:
        done = step["accepted per second"] * seconds / (seconds + step["seconds until nothing waited"])
        rates[step["round"]] = max(rates.get(step["round"], 0.0), done)
    return list(rates.values())


def _curves(fitted: Mapping[str, Fitted], carga: Mapping[str, Any], checked: float) -> list[Point]:
    """Return what the plot needs: the law of all parts together, and the measured steps."""
    greatest, least = checked, min(step["rate"] for step in carga["points"])
    curve = []
    for number in range(41):
        rate = least * (greatest / least) ** (number / 40)
        each = [law.cost(rate) for law in fitted.values()]
        ends = {end: sum(getattr(one, end) for one in each) for end in ("value", "low", "high")}
        curve.append({"rate": rate, "ms": ends["value"], "ms, low": ends["low"], "ms, high": ends["high"]})
    measured = [{"rate": step["accepted per second"], "measured ms": step["CPU per sale"]} for step in carga["points"]]
    return curve + measured


def _named(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}, low": estimate.low, f"{name}, high": estimate.high}


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:,.2f} ({estimate.low:,.2f} to {estimate.high:,.2f})"
