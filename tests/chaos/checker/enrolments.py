"""Enrolments: each accepted form makes one maestro, and no maestro comes without a form."""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.checker.accounts import Accounts
from tests.chaos.checker.findings import Finding, Promise

APPROVED = "aprobada"  # the people of a run fulfil every rule


def check(accounts: Accounts) -> Iterator[Finding]:
    """Compare the forms with the enrolments and the maestros, person by person."""
    enrolments = {enrolment.id: enrolment for enrolment in accounts.state.enrolments}
    for wish in accounts.history.enrolments.values():
        for id_ in sorted({id_ for one in wish.attempts if one.accepted for id_ in one.ids}):
            found = enrolments.get(id_)
            if found is None or found.state != APPROVED or found.email != wish.who:
                text = "an enrolment was accepted and is not approved"
                yield Finding(Promise.DURABLE, text, wish.attempts, f"{found}")
        if wish.accepted and wish.who not in accounts.maestro_of:
            yield Finding(Promise.DURABLE, "an enrolment was accepted and made no maestro", wish.attempts)
    yield from _once(accounts)
    yield from _unasked(accounts)


def _once(accounts: Accounts) -> Iterator[Finding]:
    forms = Counter(enrolment.email for enrolment in accounts.state.enrolments)
    for email, times in forms.items():
        if times > 1:
            yield Finding(Promise.ONCE, f"{email} has {times} enrolments")
    for field in ("email", "rut"):
        maestros = Counter(getattr(maestro, field) for maestro in accounts.state.maestros)
        for value, times in maestros.items():
            if times > 1:
                yield Finding(Promise.ONCE, f"{value} belongs to {times} maestros")


def _unasked(accounts: Accounts) -> Iterator[Finding]:
    wishes = accounts.history.enrolments
    for enrolment in accounts.state.enrolments:
        wish = wishes.get(enrolment.email)
        if wish is None or not wish.possible:
            yield Finding(Promise.ASKED, "an enrolment that was never asked, or refused", evidence=f"{enrolment}")
    known = {enrolment.email for enrolment in accounts.state.enrolments}
    for maestro in accounts.state.maestros:
        if maestro.email not in known:
            yield Finding(Promise.ASKED, "a maestro without an enrolment", evidence=f"{maestro}")
