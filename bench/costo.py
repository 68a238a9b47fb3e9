"""What a sale costs the whole system, which runs as `./dev up` does: CPU by process; also memory.

Sales arrive by POST at steady rates. With --against, the rounds alternate with another checkout.
"""

import argparse
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit
from uuid import UUID

from matplotlib.figure import Figure

from bench import paid, usage
from bench.openloop.load import Sent, send
from bench.openloop.orders import Kind, Maestro, numbers, steadily
from bench.openloop.watch import Arrivals
from bench.result import RESULTS, Result, Say, p99, write_svg
from bench.system import Http
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until
from inscripciones.tramite.admision import maestro_id
from mamochi_site.local.system import CHECKOUT

SUMMARY = "CPU per sale by process at steady rates, accepted-to-row, idle CPU and memory, as `./dev up` runs"
# The benchmark starts the system itself, so it needs no stack of its own.
STARTS_ITS_SYSTEM = True
RATES, SECONDS, ROUNDS = (20.0, 60.0, 140.0, 300.0), 20.0, 3
MAESTROS = 60
WARM_UP_SECONDS = 3.0
REST_SECONDS, IDLE_SECONDS = 15.0, 25.0
# The limit of --assert-ratio 1: CPU per sale at this rate, in ms.
REFERENCE_RATE, MOST_MS = 140.0, 5.0
SYSTEM = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": "", "DEBUG": "true"}
TOKEN = re.compile(r"\bmmc_\w+")


class Round:
    """The figures of one start of the system, by name; times in ms, memory in MB."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.by_process: dict[float, dict[str, float]] = {}  # CPU per sale, by rate

    def at_rest(self, record: usage.Record) -> None:
        """Note memory and idle CPU."""
        time.sleep(REST_SECONDS)  # what the start has left to do is not idle work
        before, began = usage.cpu_seconds(record), time.perf_counter()
        time.sleep(IDLE_SECONDS)  # the time that is measured
        idle, seconds = usage.spent(before, usage.cpu_seconds(record)), time.perf_counter() - began
        memory = usage.pss_megabytes(record)
        shares = {name: 100 * cpu / seconds for name, cpu in idle.items()}
        brokers = sum(share for name, share in shares.items() if name.startswith("kafka-"))
        self.figures |= {
            "PSS at rest, MB": sum(memory.values()),
            "idle CPU without the broker, % of a core": sum(shares.values()) - brokers,
            "idle CPU of the broker, % of a core": brokers,
            **{f"PSS at rest, {name}, MB": megabytes for name, megabytes in memory.items()},
            **{f"idle CPU, {name}, % of a core": share for name, share in shares.items()},
        }

    def at_rate(self, record: usage.Record, maestros: Sequence[Maestro], rate: float, seconds: float) -> None:
        """Note what sales at this rate cost."""
        port = urlsplit(record["web"]["url"]).port or 80
        send(port, maestros, steadily(maestros, rate, WARM_UP_SECONDS), Sent())
        sent = Sent()
        rows = Arrivals(record["urls"]["DATABASE_URL"], sent.sales, Kind.SALE)
        rows.start()
        before = usage.cpu_seconds(record)
        send(port, maestros, steadily(maestros, rate, seconds), sent)
        sent.check()
        wait_until(lambda: rows.all_arrived, 120, what="every sale is a row")
        spent = usage.spent(before, usage.cpu_seconds(record))
        rows.stop()
        spent["postgres"] -= rows.cpu
        count = len(sent.sales)
        self.by_process[rate] = {name: 1_000 * cpu / count for name, cpu in spent.items()}
        self.figures |= {
            f"CPU per sale at {rate:g}/s": sum(self.by_process[rate].values()),
            f"accepted to row at {rate:g}/s, p50": median(rows.waits),
            f"accepted to row at {rate:g}/s, p99": p99(rows.waits),
            f"answer at {rate:g}/s, p50": median(sent.times()),
            f"answer at {rate:g}/s, p99": p99(sent.times()),
            f"answered at {rate:g}/s, per second": count / sent.answered_after,
            f"load generator and watcher at {rate:g}/s, CPU per sale": 1_000 * sent.generator_cpu / count,
            **{f"CPU per sale at {rate:g}/s, {name}": ms for name, ms in self.by_process[rate].items()},
        }


def arguments(rest: Sequence[str]) -> argparse.Namespace:
    """Parse this benchmark's own options."""
    parser = argparse.ArgumentParser(prog="./dev bench costo", description=SUMMARY)
    parser.add_argument("--rates", type=numbers, default=RATES, help="sales per second, with commas between")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each rate (default: {SECONDS:g})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"starts of the system (default: {ROUNDS})")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="alternate with another checkout")
    return parser.parse_args(rest)


def run(say: Say, options: argparse.Namespace) -> Result:
    """Measure in rounds; each starts the system with new data.

    The ratio is MOST_MS over the CPU per sale at REFERENCE_RATE (or at the greatest rate measured);
    with --against, the other checkout's CPU per sale over this one's.
    """
    checkouts = {"": CHECKOUT} | ({options.against.name: options.against.resolve()} if options.against else {})
    rounds: dict[str, list[Round]] = {name: [] for name in checkouts}
    for number in range(1, options.rounds + 1):
        for name, checkout in checkouts.items():
            rounds[name].append(one_round(checkout, options.rates, options.seconds))
            shown = ", ".join(
                f"{sum(one.values()):.1f} ms at {rate:g}/s" for rate, one in rounds[name][-1].by_process.items()
            )
            memory = rounds[name][-1].figures["PSS at rest, MB"]
            say(f"round {number}/{options.rounds} {name or 'here'}: {shown}; {memory:,.0f} MB at rest")
    plot(rounds[""])
    reference = REFERENCE_RATE if REFERENCE_RATE in options.rates else max(options.rates)
    cost = f"CPU per sale at {reference:g}/s"
    here = median(one.figures[cost] for one in rounds[""])
    figures = {
        f"{name}: {key}".removeprefix(": "): values for name, ones in rounds.items() for key, values in _main(ones)
    }
    also = {
        f"{name}: {key}".removeprefix(": "): value for name, ones in rounds.items() for key, value in _details(ones)
    }
    if options.against:
        other = median(one.figures[cost] for one in rounds[options.against.name])
        return Result(
            "costo", SUMMARY, "ms", figures, other / here, f"{cost}, {options.against.name}'s over ours", also
        )
    return Result("costo", SUMMARY, "ms", figures, MOST_MS / here, f"{MOST_MS:g} ms over the {cost}", also)


def _main(rounds: Sequence[Round]) -> Iterator[tuple[str, list[float]]]:
    """Yield the figures that are times, without those by process."""
    for name in rounds[0].figures:
        if name.count(",") == (not name.startswith("CPU per sale")) and not name.endswith(("MB", "core", "second")):
            yield name, [one.figures[name] for one in rounds]


def _details(rounds: Sequence[Round]) -> Iterator[tuple[str, float]]:
    """Yield the medians of all other figures."""
    times = dict(_main(rounds))
    for name in rounds[0].figures:
        if name not in times:
            yield name, median(one.figures.get(name, 0.0) for one in rounds)


def one_round(checkout: Path, rates: Sequence[float], seconds: float) -> Round:
    """Start the system of a checkout with new data and measure it."""
    measured = Round()
    with running(checkout) as record:
        measured.at_rest(record)
        maestros = enrol(record)
        for rate in rates:
            measured.at_rate(record, maestros, rate, seconds)
    return measured


@contextmanager
def running(checkout: Path) -> Iterator[usage.Record]:
    """Run `./dev up` of a checkout, which has its .venv, in a folder of its own."""
    replaceable = (
        "KAFKA_BOOTSTRAP_SERVERS",
        "DATABASE_URL",
        "CELERY_BROKER_URL",
        "EMAIL_URL",
        "SECRET_KEY",
        "ALLOWED_HOSTS",
    )
    environment = {name: value for name, value in os.environ.items() if name not in replaceable} | SYSTEM
    with tempfile.TemporaryDirectory(prefix="mamochi-costo-") as folder, (Path(folder) / "up.log").open("wb") as log:
        command = ["./dev", "up", "--dir", folder, "--port", str(free_port())]
        up = subprocess.Popen(command, cwd=checkout, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: _is_up(up, Path(folder) / "up.log"), 180, what="the system runs", interval=0.5)
            yield usage.read_record(Path(folder))
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(90)


def _is_up(up: "subprocess.Popen[bytes]", log: Path) -> bool:
    """Return whether the whole system runs. Raises RuntimeError if it has ended."""
    if up.poll() is not None:
        raise RuntimeError(f"./dev up ended: {log.read_text()[-1_000:]}")
    return "Ctrl-C stops everything" in log.read_text()


def enrol(record: usage.Record, count: int = MAESTROS) -> list[Maestro]:
    """Return maestros with their tokens: they enrol by HTTP and get their e-mail."""
    web, mailbox = Http(urlsplit(record["web"]["url"]).port or 80, {}), Mailbox(Path(record["mailbox"]))
    forms = [paid.form(paid=True) for _ in range(count)]
    ids = [UUID(web.post("inscripciones/", form)["id"]) for form in forms]
    mails = [mailbox.wait_for(to=str(form["email"]), subject="credenciales", timeout=60)[0] for form in forms]
    tokens = [found[0] for mail in mails if (found := TOKEN.search(mail.text))]
    return [Maestro(*one) for one in zip(map(maestro_id, ids), tokens, strict=True)]


def plot(rounds: Sequence[Round]) -> None:
    """Write costo.svg: CPU per sale by rate, one bar with a part per process (medians)."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(title="CPU per sale", xlabel="sales per second", ylabel="ms of CPU, all processes")
    rates = list(rounds[0].by_process)
    places, base = range(len(rates)), [0.0] * len(rates)
    for name in sorted(rounds[0].by_process[rates[0]]):
        heights = [median(one.by_process[rate].get(name, 0.0) for one in rounds) for rate in rates]
        if max(heights) >= 0.05:
            axes.bar(places, heights, bottom=base, label=name, width=0.6)
            base = [low + height for low, height in zip(base, heights, strict=True)]
    axes.set_xticks(places, [f"{rate:g}" for rate in rates])
    axes.legend(bbox_to_anchor=(1, 1), loc="upper left")
    write_svg(figure, RESULTS / "costo.svg")
