"""The week: reports and e-mails have the sums that follow from the operations alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from tests.chaos.checker.accounts import Accounts, Sums
from tests.chaos.checker.findings import Finding, Promise
from tests.chaos.checker.history import Operation
from tests.chaos.checker.state import Mail, Report

SHOWN = 5  # operations in a finding


def check(accounts: Accounts) -> Iterator[Finding]:
    """Compare the sums of each maestro with the reports and the e-mails, once the week is closed.

    Everything was asked before the week closed, so all of it belongs into the reports, however many
    weeks a run touches. A maestro without a sale whom a clock that was ahead approved after the
    boundary belongs into the next week.
    """
    boundary = accounts.state.boundary
    if boundary is None:
        return
    reports: dict[str, list[Report]] = defaultdict(list)
    for report in accounts.state.reports:
        reports[report.maestro].append(report)
    mails: dict[str, list[Mail]] = defaultdict(list)
    for mail in accounts.state.mails:
        mails[mail.to].append(mail)
    next_week = {one.id for one in accounts.state.maestros if one.approved >= boundary}
    for email, maestro in accounts.maestro_of.items():
        if maestro in next_week and not (accounts.standing(email) or reports[maestro] or mails[email]):
            continue
        yield from _report(accounts, email, reports[maestro])
        yield from _mail(accounts, email, mails[email], len(reports[maestro]))
    for address in mails.keys() - accounts.maestro_of.keys():
        yield Finding(Promise.MAIL, f"weekly e-mails to {address}, who is no maestro", evidence=f"{mails[address]}")


def _report(accounts: Accounts, email: str, reports: list[Report]) -> Iterator[Finding]:
    times = Counter(report.week for report in reports)
    if not reports or max(times.values()) > 1:
        yield Finding(Promise.WEEK, f"{email} has {len(reports)} reports of {len(times)} weeks")
        return
    expected, found = accounts.worth(accounts.standing(email)), _sums(reports)
    if found != expected:
        text = f"the reports of {email} lack {expected.minus(found)}"
        operations = _suspects(accounts, email, set(times))
        yield Finding(Promise.WEEK, text, operations, f"{found}; the operations add up to {expected}")


def _mail(accounts: Accounts, email: str, mails: list[Mail], reports: int) -> Iterator[Finding]:
    """Check one Message-ID per report. The same one may come twice, as docs/reliability.md says."""
    by_id = {mail.message_id: mail for mail in mails}
    if len(by_id) != reports or reports == 0:
        yield Finding(Promise.MAIL, f"{email} got {len(by_id)} weekly e-mails, and has {reports} reports")
        return
    if any(mail != by_id[mail.message_id] for mail in mails):
        yield Finding(Promise.MAIL, f"{email} got e-mails that differ under one Message-ID", evidence=f"{mails}")
    expected, found = accounts.worth(accounts.standing(email)), _sums(by_id.values())
    if found != expected:
        text = f"the e-mails to {email} lack {expected.minus(found)}"
        yield Finding(Promise.MAIL, text, evidence=f"{found}; the operations add up to {expected}")


def _sums(entries: Iterable[Report | Mail]) -> Sums:
    total = Sums()
    for one in entries:
        total = total.plus(Sums(one.sales, one.units, one.income, one.earnings))
    return total


def _suspects(accounts: Accounts, email: str, weeks: set[str]) -> tuple[Operation, ...]:
    """Return the operations of sales that have no row in a week with a report, or were voided."""
    suspects = []
    for sale in accounts.history.sales_of.get(email, []):
        rows = accounts.rows_of(sale)
        counted = [row for row in rows if row.week in weeks and not row.voided]
        if accounts.happened(sale) and len(counted) != 1:
            suspects.append(sale.attempts[0])
    return tuple(suspects[:SHOWN])
