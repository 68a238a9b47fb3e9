"""Maestros with a token and an open cart, by the thousand, made as the approval makes them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from django.db import transaction
from knox.models import AuthToken

from bench.openloop.orders import Maestro
from deploy.embedded.waiting import wait_until
from inscripciones.events import InscripcionAprobada
from inscripciones.models import Usuario
from kafka_bridge.publishing import publish
from stock.models import Existencia

AT_ONCE: Final = 500
SECONDS: Final = 120.0


def open_carts(count: int) -> list[Maestro]:
    """Return new maestros once their carts are open and full."""
    ids = [uuid4() for _ in range(count)]
    for first in range(0, count, AT_ONCE):
        publish(*map(_approved, ids[first : first + AT_ONCE]))
    maestros = _with_tokens(ids)
    full = Existencia.objects.filter(carro__in=ids, insumo="vaso")
    wait_until(lambda: full.count() == count, SECONDS, what="every cart is open", interval=0.5)
    return maestros


def _approved(maestro: UUID) -> InscripcionAprobada:
    inscripcion, now = uuid4(), datetime.now(UTC)
    return InscripcionAprobada(
        id=InscripcionAprobada.derive_id(inscripcion),
        time=now,
        inscripcion_id=inscripcion,
        maestro_id=maestro,
        nombre="Rosa Ñáñez Peña",
        email=f"{maestro}@example.cl",
        aprobada_en=now,
    )


@transaction.atomic
def _with_tokens(ids: Sequence[UUID]) -> list[Maestro]:
    users = Usuario.objects.bulk_create(Usuario(username=str(maestro), maestro_id=maestro) for maestro in ids)
    return [Maestro(maestro, AuthToken.objects.create(user)[1]) for maestro, user in zip(ids, users, strict=True)]
