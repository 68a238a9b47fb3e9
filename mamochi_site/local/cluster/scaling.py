"""Pods by need: from zero, up and down after a peak, doubled by hand under load."""

import random
import threading
import time
from typing import Final
from urllib.parse import urlsplit

from deploy.embedded.waiting import wait_until
from mamochi_site.local.cluster.group import VENTAS, Group, Watch, watching
from mamochi_site.local.cluster.load import burst, selling
from mamochi_site.local.cluster.system import ClusterSystem, is_ready
from mamochi_site.local.cluster.trials import PAUSE_S, Outcome, timed
from mamochi_site.local.demo.client import Api
from mamochi_site.local.demo.people import gather

CONTABILIDAD: Final = "consumer-contabilidad"
BURST: Final = 60_000
WATCH_S: Final = 240.0
MOVES_S: Final = 180.0
GROWN: Final = 12
# How long sales go on after each change.
SOME_SALES_S: Final = 5.0


def from_zero(system: ClusterSystem) -> Outcome:
    """Send a form while aprobacion has no pod, and watch until it has none again."""
    outcome = Outcome("from zero")
    with timed(outcome, "aprobacion back to zero before"):
        wait_until(lambda: not system.pods("consumer-aprobacion"), 120, what="aprobacion is at zero", interval=0.5)
    began = time.monotonic()
    accepted = _enrol(system)
    outcome.expect("the form was not accepted", holds=bool(accepted))
    for what, condition in (
        ("a pod exists", lambda: bool(system.pods("consumer-aprobacion"))),
        ("the pod is ready", lambda: system.ready("consumer-aprobacion") > 0),
        ("the form is decided", lambda: _state(system, accepted) == "aprobada"),
        ("no pod is left", lambda: not system.pods("consumer-aprobacion")),
    ):
        wait_until(condition, 120, what=what, interval=0.3)
        outcome.figures[f"after the form: {what}, s"] = round(time.monotonic() - began, 1)
    return outcome


def _enrol(system: ClusterSystem) -> str:
    """Send a form that passes every rule; return the path of its state."""
    (person,) = gather(1, 0, random.Random())
    answer = Api(system.url, threading.Event()).post("/api/v1/inscripciones/", person.formulario())
    return str(urlsplit(answer["url"]).path)


def _state(system: ClusterSystem, path: str) -> str:
    return str(Api(system.url, threading.Event()).get(path)["estado"])


def peak(system: ClusterSystem, tokens: list[str]) -> Outcome:
    """Let sales wait for contabilidad, then let KEDA decide; watch pods and lag up and down."""
    outcome = Outcome("peak")
    with system.paused("contabilidad", 0):
        system.wait_for_pods(CONTABILIDAD, 0)
        with timed(outcome, f"{BURST} sales accepted"):
            load = burst(system.url, tokens, BURST)
    series = _watch_pods(system)
    most = int(max(one["pods"] for one in series))
    outcome.figures |= {
        "most pods": most,
        "second pod started, s": next((one["s"] for one in series if one["pods"] > 1), None),
        "second pod ready, s": next((one["s"] for one in series if one["ready"] > 1), None),
        "lag gone, s": next((one["s"] for one in series if one["lag"] == 0), None),
        "back to one pod, s": series[-1]["s"],
        "series": series,
    }
    outcome.expect("KEDA started no second pod", holds=most > 1)
    outcome.expect("KEDA did not go back to one pod", holds=series[-1]["pods"] == 1)
    outcome.count(load)
    return outcome


def _watch_pods(system: ClusterSystem) -> list[dict[str, float]]:
    """Return pods and lag of each moment, until KEDA has gone up and come back to one pod."""
    group, began = Group(), time.monotonic()
    series: list[dict[str, float]] = []
    while time.monotonic() - began < WATCH_S:
        pods = system.pods(CONTABILIDAD)
        ready, lag = sum(map(is_ready, pods)), group.look().lag
        series.append({"s": round(time.monotonic() - began, 1), "pods": len(pods), "ready": ready, "lag": lag})
        if lag == 0 and len(pods) == ready == 1 and max(one["pods"] for one in series) > 1:
            break
        time.sleep(0.5)
    return series


def doubling(system: ClusterSystem, tokens: list[str]) -> Outcome:
    """Double contabilidad under load, from one pod to two to four; double the partitions too."""
    outcome = Outcome("doubling")
    with system.paused("contabilidad", 1), selling(system.url, tokens, PAUSE_S) as load, watching() as watch:
        _step(outcome, watch, "one pod", members=1, partitions=6)
        system.pause("contabilidad", 2)
        _step(outcome, watch, "1 to 2 pods", members=2, partitions=6)
        system.pause("contabilidad", 4)
        _step(outcome, watch, "2 to 4 pods", members=4, partitions=6)
        system.add_partitions(VENTAS, GROWN)
        _step(outcome, watch, f"6 to {GROWN} partitions", members=4, partitions=GROWN)
        system.say("every process starts again, with the new number of partitions")
        with timed(outcome, "all processes know the new partitions"):
            system.roll_out(partitions=GROWN)
        _step(outcome, watch, "four new pods", members=4, partitions=GROWN)
        system.pause("contabilidad", 1)
        _step(outcome, watch, "4 to 1 pods", members=1, partitions=GROWN)
    outcome.figures["series"] = watch.series()
    outcome.count(load)
    return outcome


def _step(outcome: Outcome, watch: Watch, what: str, *, members: int, partitions: int) -> None:
    """Wait until so many members share so many partitions; note how long partitions moved."""
    began = time.monotonic()
    wait_until(lambda: watch.shared_by(members, partitions), MOVES_S, what=what, interval=0.1)
    outcome.figures[f"{what}: shared out, s"] = round(time.monotonic() - began, 1)
    outcome.figures[f"{what}: pods with partitions of sales"] = watch.looks[-1].selling
    time.sleep(SOME_SALES_S)
    outcome.figures[f"{what}: partitions on the move, s"] = round(watch.moving_since(began), 1)
    outcome.figures[f"{what}: most sales waiting"] = watch.most_lag_since(began)
