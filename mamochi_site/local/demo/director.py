"""The director: plays enrolments, sales, the week's closing and the audit, and notices failures."""

import random
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from confluent_kafka import KafkaException
from django.utils import timezone
from rich.console import Console
from rich.live import Live

from kafka_bridge.events.topics import Partition
from kafka_bridge.models import OutboxMessage
from mamochi_site.local.demo import dashboard, people
from mamochi_site.local.demo.audit import WEEK_SUBJECT, audit, ends, numbers_in, week_mails
from mamochi_site.local.demo.client import Api, Refused
from mamochi_site.local.demo.maestro import Maestro
from mamochi_site.local.demo.observers import observe
from mamochi_site.local.demo.place import Place
from mamochi_site.local.demo.scene import Puesto, Scene
from mamochi_site.local.demo.week import closing_now

MAESTROS: Final = 5
PAID: Final = 2
FRAMES_PER_SECOND: Final = 6
# The picture is taken after this share of all sales: by then some carts are empty, and others were
# filled again.
PICTURE_AT: Final = 0.64
# Seconds that the consumers get to apply everything, and the weekly e-mails to arrive.
SETTLE_S: Final = 60.0
MAILS_S: Final = 90.0


class DemoFailed(Exception):
    """The demo cannot continue; the text, in Spanish, gives the reason and the log to read."""


class Director:
    """One run of the demo at `place`.

    `on_progress` is called again and again with the share of all sales that is made. The first
    `by_hand` maestros are played by somebody else, who keeps their `Puesto` and their token.
    """

    def __init__(
        self,
        place: Place,
        options: Namespace,
        console: Console,
        on_progress: Callable[[float], None] = lambda _: None,
        by_hand: int = 0,
    ) -> None:
        self.place = place
        self.options = options
        self.console = console
        self.on_progress = on_progress
        self.by_hand = by_hand
        self.stop = threading.Event()
        self.mailbox = place.mailbox
        chance = random.Random(options.seed)
        self.scene = Scene([Puesto(one) for one in people.gather(MAESTROS, PAID, chance)], options.pace)
        self.apis = [Api(place.url, self.stop) for _ in self.scene.puestos]
        self.maestros = [
            Maestro(puesto, self.scene, api, self.mailbox, chance.getrandbits(64))
            for puesto, api in zip(self.scene.puestos, self.apis, strict=True)
        ]
        self.futures: list[Future[None]] = []
        self.pictured = not options.picture

    def play(self, since: dict[Partition, int] | None = None) -> bool:
        """Play the whole demo and return True if the audit passes. Raises DemoFailed.

        `since` has the end offsets of the enrolments' topic before the first form; by default they
        are those of now.
        """
        try:
            return self._play(ends() if since is None else since)
        except Refused as error:
            raise DemoFailed(f"{error}; lee {self._log(error.log)}") from error
        except KafkaException as error:
            raise DemoFailed(f"Kafka no responde: {error}; lee {self._log('')}") from error

    def _play(self, since: dict[Partition, int]) -> bool:
        with self._shown(), self._threads() as pool:
            self.scene.phase = "Inscripciones y ventas"
            self.futures = [pool.submit(maestro.play) for maestro in self.maestros[self.by_hand :]]
            self.futures.append(pool.submit(observe, self.scene, self.mailbox, self.stop))
            self._wait_until(lambda: all(puesto.done for puesto in self.scene.puestos), None, "")
            self._close_week()
            self._settle()
        return self._report(since)

    def _close_week(self) -> None:
        """Close the week through Beat and wait for the weekly e-mails."""
        hasta = timezone.now()
        self.scene.phase = "Cerrando la semana"
        with closing_now(hasta) as semana:
            self.scene.say(
                f"Celery Beat cierra la semana {semana} hasta las {timezone.localtime(hasta):%H:%M:%S}", "bold"
            )
            late = f"no llegaron los correos «{WEEK_SUBJECT}»"
            self._wait_until(self._week_mails_arrived, MAILS_S, late, log="celery-worker")
        self.scene.say("Llegaron los correos de la semana", "bold cyan")

    def _settle(self) -> None:
        """Wait until everything is applied, then read each cart's stock and ledger."""
        applied = self.scene.applied
        unknown = "Kafka no dice hasta dónde van los consumidores"
        self._wait_until(lambda: self.scene.applied is not applied, SETTLE_S, unknown)
        unfinished = "los consumidores no terminaron de aplicar los mensajes"
        self._wait_until(self._is_settled, SETTLE_S, unfinished)
        for puesto, api in zip(self.scene.puestos, self.apis, strict=True):
            puesto.stock = api.get("/api/v1/stock/")
            puesto.movimientos = api.get_all("/api/v1/stock/movimientos/")

    def _is_settled(self) -> bool:
        return not any(self.scene.lag.values()) and not OutboxMessage.objects.exists()

    def _week_mails_arrived(self) -> bool:
        return all(week_mails(self.mailbox, puesto.persona.email) for puesto in self.scene.puestos)

    def _report(self, since: dict[Partition, int]) -> bool:
        """Print the weekly e-mails and the audit; return True if every check passes."""
        self.console.print(dashboard.weekly_mails([self._letter(puesto) for puesto in self.scene.puestos]))
        checks = audit(self.scene, self.mailbox, since)
        self.console.print(dashboard.results([check.row() for check in checks]))
        wrong = sum(not check.ok for check in checks)
        if wrong:
            report = f"{wrong} comprobaciones no cuadran; lee {self.place.logs}"
            self.console.print(report, style="bold red", soft_wrap=True)
        else:
            self.console.print(f"Todo cuadra: {len(checks)} comprobaciones.", style="bold green", highlight=False)
        return not wrong

    def _letter(self, puesto: Puesto) -> tuple[str, str, int, int]:
        mail = week_mails(self.mailbox, puesto.persona.email)[0]
        return mail.to, mail.text, *numbers_in(mail.text)

    @contextmanager
    def _threads(self) -> Iterator[ThreadPoolExecutor]:
        """Return a pool whose threads have ended when the block ends, also after an error."""
        with ThreadPoolExecutor(MAESTROS + 1, thread_name_prefix="demo") as pool:
            try:
                yield pool
            finally:
                self.stop.set()

    def _shown(self) -> AbstractContextManager[object]:
        """Return the live dashboard on a terminal; otherwise let the scene print its log lines."""
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            return Live(
                get_renderable=lambda: dashboard.draw(self.scene, *self.console.size),
                console=self.console,
                screen=True,
                refresh_per_second=FRAMES_PER_SECOND,
            )
        self.scene.on_line = lambda line: self.console.print(f"[{dashboard.clock(line.at)}] {line.text}", markup=False)
        return nullcontext()

    def _wait_until(self, condition: Callable[[], bool], timeout: float | None, otherwise: str, log: str = "") -> None:
        """Wait for the condition.

        Raises DemoFailed, with the text `otherwise`, after `timeout` seconds, and also when a
        process ends. Raises Refused when a maestro fails.
        """
        began = time.monotonic()
        timeout = None if timeout is None else timeout * self.scene.pace.patience
        while not condition():
            self._raise_failures()
            if timeout is not None and time.monotonic() - began > timeout:
                raise DemoFailed(f"{otherwise} en {timeout:g} s; lee {self._log(log)}")
            self._take_picture()
            self.on_progress(self.scene.progress)
            time.sleep(0.1)

    def _raise_failures(self) -> None:
        if failure := self.place.failure():
            raise DemoFailed(failure)
        for future in self.futures:
            if future.done():
                future.result()

    def _log(self, process: str) -> str:
        """Return the process's log file; for an empty name, the folder of all logs."""
        return str(self.place.logs / f"{process}.log" if process else self.place.logs)

    def _take_picture(self) -> None:
        if not self.pictured and self.scene.progress >= PICTURE_AT:
            dashboard.save_picture(self.scene, self.options.picture)
            self.pictured = True
