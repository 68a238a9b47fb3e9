"""The check that SECRET_KEY is the one with which the enrolments of this database were accepted."""

from collections.abc import Sequence
from typing import Any, Final

from django.core.checks import CheckMessage, Error
from django.db import DatabaseError

from inscripciones.formulario import ids
from inscripciones.models import Inscripcion

LOOKED_AT: Final = 20


def check_secret_key(databases: Sequence[str] | None = None, **_options: Any) -> list[CheckMessage]:
    """Look at the first and the last enrolments; `prepare` and `check --database default` run this.

    A database that is down, or that has no tables yet, has nothing to compare.
    """
    if not databases:
        return []
    try:
        in_order = Inscripcion.objects.order_by("recibida_en").values_list("pk", flat=True)
        known = [*in_order[:LOOKED_AT], *in_order.reverse()[:LOOKED_AT]]
    except DatabaseError:
        return []
    if not known or any(ids.lane_of(one) for one in known):
        return []
    return [
        Error(
            "SECRET_KEY is another one than before: neither the first enrolments nor the last have an id of it.",
            hint="Links to enrolments, sessions and links in e-mails are void. Set SECRET_KEY to the key of before, or "
            "add that one to SECRET_KEY_FALLBACKS.",
            id="inscripciones.E001",
        )
    ]
