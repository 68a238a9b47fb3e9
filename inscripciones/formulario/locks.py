"""Locks on identities: forms that share a RUT, mailbox or receipt are decided one by one.

They are PostgreSQL's advisory locks on texts (keys), held until the transaction ends. Unlike a lock
on a row, they also work before the row exists, between consumers, lanes and reviewers.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from gremio.transactions import transaction_required
from inscripciones.events import InscripcionRecibida
from inscripciones.formulario import normalizacion
from inscripciones.models import Inscripcion


@transaction_required
def acquire(keys: Iterable[str]) -> None:
    """Hold each key until the transaction ends.

    Keys are taken in a fixed order, so that two transactions never wait for each other (a
    deadlock).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hash) FROM (SELECT DISTINCT hashtextextended(key, 0) AS hash"
            " FROM unnest(%s::text[]) AS key ORDER BY hash) AS in_order",
            [list(keys)],
        )


def identity_keys(form: InscripcionRecibida | Inscripcion) -> list[str]:
    """Return the keys of a form's enrolment, RUT, address, mailbox and, if paid, receipt."""
    inscripcion_id = form.inscripcion_id if isinstance(form, InscripcionRecibida) else form.pk
    keys = [enrolment_key(inscripcion_id), f"rut|{form.rut}", *email_keys(form.email)]
    if form.paid:
        keys.append(f"comprobante|{normalizacion.clave_de_comprobante(form.comprobante_pago)}")
    return keys


def enrolment_key(inscripcion_id: UUID) -> str:
    """Return the key of one enrolment."""
    return f"inscripcion|{inscripcion_id}"


def email_keys(email: str) -> list[str]:
    """Return the keys of a normalised address and of the mailbox behind it."""
    return [f"email|{email}", f"buzon|{normalizacion.buzon(email)}"]
