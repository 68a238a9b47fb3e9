"""Whose sales these are, and what they become: the part that asks the database, in a thread.

A sale with an id of its own takes one query, once its token has come before: its claim is stored
only if the token is valid at that moment, and is still that maestro's.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from gremio.api.requests import zona_de
from inscripciones.api.authentication import Portador, still_valid
from inscripciones.api.remembered import Remembered
from kafka_bridge.events.ids import uuid7
from ventas.api import aceptacion
from ventas.api.aceptacion import CondicionPara, Remitente
from ventas.events import VentaRegistrada

logger = logging.getLogger(__name__)


class Sent(NamedTuple):
    """A sale as it came."""

    token: str
    datos: dict[str, Any]  # as JSON has them


class Lookup:
    """Makes events of sales that came together."""

    def __init__(self) -> None:
        self.remembered = Remembered()

    def events_of(self, sent: Sequence[Sent]) -> list[VentaRegistrada | None]:
        """Return the events of sales, in order; None for one that Django must judge.

        Raises OperationalError or InterfaceError without the database.
        """
        close_old_connections()  # as before each of Django's requests
        try:
            return self._known_events_of(sent)
        except (OperationalError, InterfaceError):
            raise
        except (
            Exception
        ):  # any error of one sale would fail all of this call; it is logged, and Django tries each alone
            logger.exception("%d sales that came together failed: each is tried alone", len(sent))
            return [None] * len(sent)

    def _known_events_of(self, sent: Sequence[Sent]) -> list[VentaRegistrada | None]:
        now = timezone.now()
        # A sale without an id of its own has no claim that could be refused.
        guesses = [self.remembered.guess(one.token) if one.datos.get("id") else None for one in sent]
        events = _events(sent, guesses, now, still_valid)
        others = [one for one, event in zip(sent, events, strict=True) if event is None]
        if not others:
            return events
        known = self.remembered.look_up([one.token for one in others])
        found = iter(_events(others, [known.get(one.token) for one in others], now))
        return [next(found) if event is None else event for event in events]


def _events(
    sent: Sequence[Sent], portadores: Sequence[Portador | None], now: datetime, solo_si: CondicionPara | None = None
) -> list[VentaRegistrada | None]:
    """Return the events of sales, in order; None also where the maestro is unknown."""
    enviadas = [(one.datos, _remitente(who)) for one, who in zip(sent, portadores, strict=True) if who]
    eventos = iter(aceptacion.preparar(enviadas, now, solo_si))
    return [next(eventos) if who else None for who in portadores]


def _remitente(portador: Portador) -> Remitente:
    zona = zona_de(portador)
    return Remitente(portador.maestro_id, id_for=lambda _: uuid7(), con_clave=False, zona=zona, prueba=portador)
