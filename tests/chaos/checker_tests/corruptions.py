"""Corruptions of a correct run, each of one thing, and the promise that it breaks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, TypeVar

from tests.chaos.checker.findings import Promise
from tests.chaos.checker.history import (
    ANULACION,
    AVISO,
    INSCRIPCION,
    READ_CART,
    READ_SALE,
    READ_SALES,
    READ_WEEK,
    VENTA,
    Operation,
)
from tests.chaos.checker.state import FinalState

T = TypeVar("T")
Choose = Callable[[Sequence[Any]], Any]  # one of several; a test that has none is given up


@dataclass
class Run:
    """What the checker gets."""

    operations: list[Operation]
    state: FinalState

    def ids(self, kind: str, *, accepted: bool = True) -> set[str]:
        of = [one for one in self.operations if one.kind == kind]
        taken = {id_ for one in of if one.accepted for id_ in one.ids}
        return taken if accepted else {id_ for one in of for id_ in one.ids} - taken

    def reads(self, kind: str) -> list[Operation]:
        return [one for one in self.operations if one.kind == kind and one.status == 200]

    def change(self, **lists: Any) -> None:
        self.state = replace(self.state, **lists)

    def answer(self, read: Operation, answer: Any, **fields: Any) -> None:
        at = self.operations.index(read)
        self.operations[at] = replace(read, answer=answer, **fields)


def without(items: Sequence[T], one: T) -> list[T]:
    return [item for item in items if item is not one]


def instead(items: Sequence[T], one: T, other: T) -> list[T]:
    return [other if item is one else item for item in items]


def lose_sale(run: Run, choose: Choose) -> None:
    row = choose([row for row in run.state.sales if row.id in run.ids(VENTA)])
    run.change(sales=without(run.state.sales, row))


def write_sale_twice(run: Run, choose: Choose) -> None:
    run.change(sales=[*run.state.sales, choose(run.state.sales)])


def invent_sale(run: Run, choose: Choose) -> None:
    run.change(sales=[*run.state.sales, replace(choose(run.state.sales), id="invented")])


def change_quantity(run: Run, choose: Choose) -> None:
    row = choose(run.state.sales)
    run.change(sales=instead(run.state.sales, row, replace(row, quantity=row.quantity + 1)))


def swap_maestro(run: Run, choose: Choose) -> None:
    row = choose(run.state.sales)
    other = next(maestro.id for maestro in run.state.maestros if maestro.id != row.maestro)
    run.change(sales=instead(run.state.sales, row, replace(row, maestro=other)))


def change_cost(run: Run, choose: Choose) -> None:
    row = choose(run.state.sales)
    run.change(sales=instead(run.state.sales, row, replace(row, cost=row.cost - 1)))


def keep_refused_sale(run: Run, choose: Choose) -> None:
    """Let a sale that has its row be one that was refused at every attempt."""
    row = choose(run.state.sales)
    run.operations = [
        replace(one, status=429) if one.kind == VENTA and row.id in one.ids else one for one in run.operations
    ]


def lose_void(run: Run, choose: Choose) -> None:
    row = choose([row for row in run.state.sales if row.voided and row.id in run.ids(ANULACION)])
    run.change(sales=instead(run.state.sales, row, replace(row, voided=False)))


def invent_void(run: Run, choose: Choose) -> None:
    asked = run.ids(ANULACION) | run.ids(ANULACION, accepted=False)
    row = choose([row for row in run.state.sales if row.id not in asked])
    run.change(sales=instead(run.state.sales, row, replace(row, voided=True)))


def miscount_week(run: Run, choose: Choose) -> None:
    report = choose(run.state.reports)
    run.change(reports=instead(run.state.reports, report, replace(report, earnings=report.earnings + 1)))


def close_early(run: Run, choose: Choose) -> None:
    """Leave one standing sale out of the report and of the e-mail."""
    row = choose([row for row in run.state.sales if not row.voided])
    report = next(report for report in run.state.reports if report.maestro == row.maestro)
    less = replace(
        report,
        sales=report.sales - 1,
        units=report.units - row.quantity,
        income=report.income - row.quantity * row.price,
        earnings=report.earnings - row.quantity * (row.price - row.cost),
    )
    run.change(reports=instead(run.state.reports, report, less))


def lose_report(run: Run, choose: Choose) -> None:
    run.change(reports=without(run.state.reports, choose(run.state.reports)))


def report_twice(run: Run, choose: Choose) -> None:
    run.change(reports=[*run.state.reports, choose(run.state.reports)])


def lose_mail(run: Run, choose: Choose) -> None:
    run.change(mails=without(run.state.mails, choose(run.state.mails)))


def mail_twice(run: Run, choose: Choose) -> None:
    run.change(mails=[*run.state.mails, replace(choose(run.state.mails), message_id="<another>")])


def miscount_mail(run: Run, choose: Choose) -> None:
    mail = choose(run.state.mails)
    run.change(mails=instead(run.state.mails, mail, replace(mail, sales=mail.sales + 1)))


def misdirect_mail(run: Run, choose: Choose) -> None:
    mail = choose(run.state.mails)
    run.change(mails=instead(run.state.mails, mail, replace(mail, to="other@example.cl")))


def hide_seen_sale(run: Run, choose: Choose) -> None:
    """Read a list again without its newest sale."""
    read = choose([read for read in run.reads(READ_SALES) if read.answer["results"]])
    answer = {**read.answer, "results": read.answer["results"][1:]}
    if not answer["results"]:
        answer["next"] = None
    at = run.operations.index(read) + 1
    run.operations.insert(at, replace(read, asked=read.answered + 0.1, took=0.1, answer=answer))


def answer_404(run: Run, choose: Choose) -> None:
    read = choose(run.reads(READ_SALE))
    at = run.operations.index(read) + 1
    run.operations.insert(at, replace(read, asked=read.answered + 0.1, took=0.1, status=404, answer=None))


def show_unasked_sale(run: Run, choose: Choose) -> None:
    read = choose([read for read in run.reads(READ_SALES) if read.answer["results"]])
    row = {**read.answer["results"][0], "id": "invented"}
    run.answer(read, {**read.answer, "results": [row, *read.answer["results"]]})


def show_sale_too_early(run: Run, choose: Choose) -> None:
    """Move a read to a moment before everything was asked."""
    read = choose([read for read in run.reads(READ_SALES) if read.answer["results"]])
    run.answer(read, read.answer, asked=-1.0, took=0.1)


def forget_seen_void(run: Run, choose: Choose) -> None:
    read = choose([read for read in run.reads(READ_SALES) if any(row["anulada_en"] for row in read.answer["results"])])
    rows = [{**row, "anulada_en": None} for row in read.answer["results"]]
    at = run.operations.index(read) + 1
    again = replace(read, asked=read.answered + 0.1, took=0.1, answer={**read.answer, "results": rows})
    run.operations.insert(at, again)


def show_other_earnings(run: Run, choose: Choose) -> None:
    read = choose(run.reads(READ_SALE))
    run.answer(read, {**read.answer, "ganancias": read.answer["ganancias"] + 1})


def shrink_week(run: Run, choose: Choose) -> None:
    """Read a week again with one sale less."""
    read = choose([read for read in run.reads(READ_WEEK) if read.answer["cantidad_ventas"]])
    answer = {**read.answer, "cantidad_ventas": read.answer["cantidad_ventas"] - 1}
    doubtful = sum(one.kind == ANULACION and one.who == read.who for one in run.operations)
    answer["cantidad_ventas"] -= doubtful
    at = run.operations.index(read) + 1
    run.operations.insert(at, replace(read, asked=read.answered + 0.1, took=0.1, answer=answer))


def swell_week(run: Run, choose: Choose) -> None:
    read = choose(run.reads(READ_WEEK))
    run.answer(read, {**read.answer, "ingresos": read.answer["ingresos"] + 10**9})


def overfill_cart_page(run: Run, choose: Choose) -> None:
    read = choose(run.reads(READ_CART))
    run.answer(read, [{**line, "cantidad": line["cantidad"] + 10**6} for line in read.answer])


def miscount_stock(run: Run, choose: Choose) -> None:
    held = choose(run.state.held)
    run.change(held=instead(run.state.held, held, replace(held, amount=held.amount + 1)))


def leave_cart_empty(run: Run, choose: Choose) -> None:
    held = choose(run.state.held)
    run.change(held=instead(run.state.held, held, replace(held, amount=0)))


def line(kind: str, run: Run, choose: Choose) -> Any:
    return choose([one for one in run.state.lines if one.kind == kind])


def write_line_twice(run: Run, choose: Choose) -> None:
    run.change(lines=[*run.state.lines, line("venta", run, choose)])


def lose_line(run: Run, choose: Choose) -> None:
    one = choose([one for one in run.state.lines if one.cause in run.ids(VENTA)])
    run.change(lines=without(run.state.lines, one))


def invent_line(run: Run, choose: Choose) -> None:
    run.change(lines=[*run.state.lines, replace(line("venta", run, choose), cause="invented")])


def change_recipe(run: Run, choose: Choose) -> None:
    one = line("venta", run, choose)
    run.change(lines=instead(run.state.lines, one, replace(one, amounts={**one.amounts, "vaso": -9})))


def leave_notice_open(run: Run, choose: Choose) -> None:
    notice = choose(run.state.notices)
    run.change(notices=instead(run.state.notices, notice, replace(notice, state="abierto", closed=None)))


def lose_notice(run: Run, choose: Choose) -> None:
    notice = choose([notice for notice in run.state.notices if notice.id in run.ids(AVISO)])
    run.change(notices=[one for one in run.state.notices if one.id != notice.id])


def invent_notices(run: Run, choose: Choose) -> None:
    """Add more notices of a maestro than there are attempts of all of them."""
    notice = choose(run.state.notices)
    many = [replace(notice, id=f"invented {n}", origin="maestro") for n in range(len(run.operations))]
    run.change(notices=[*run.state.notices, *many])


def forget_restock(run: Run, choose: Choose) -> None:
    run.change(lines=without(run.state.lines, line("reposicion", run, choose)))


def restock_without_notice(run: Run, choose: Choose) -> None:
    one = line("reposicion", run, choose)
    run.change(notices=[notice for notice in run.state.notices if notice.id != one.cause])


def restock_before_last_sale(run: Run, choose: Choose) -> None:
    """Swap a restock that a maestro asked for with the sale before it, in the same cart.

    Its amount is what is missing then, so that the cart is full at that moment.
    """
    lines, found = run.state.lines, []
    for sale, restock in pairwise(lines):
        if (sale.kind, restock.kind) == ("venta", "reposicion") and sale.maestro == restock.maestro:
            fewer = {code: amount + sale.amounts.get(code, 0) for code, amount in restock.amounts.items()}
            level = {code: run.state.capacities[code] - amount for code, amount in fewer.items()}
            asked = restock.cause in run.ids(AVISO) and sale.cause in run.ids(VENTA)
            if asked and all(amount > 0 for amount in fewer.values()) and all(left > 0 for left in level.values()):
                found.append((sale, restock, replace(restock, amounts=fewer)))
    sale, restock, early = choose(found)
    order = [early if one is sale else sale if one is restock else one for one in lines]
    run.change(lines=order)


def fill_half(run: Run, choose: Choose) -> None:
    one = line("reposicion", run, choose)
    less = {code: amount - 1 for code, amount in one.amounts.items()}
    run.change(lines=instead(run.state.lines, one, replace(one, amounts=less)))


def lose_enrolment(run: Run, choose: Choose) -> None:
    enrolment = choose(run.state.enrolments)
    run.change(enrolments=without(run.state.enrolments, enrolment))


def enrol_twice(run: Run, choose: Choose) -> None:
    run.change(enrolments=[*run.state.enrolments, replace(choose(run.state.enrolments), id="another")])


def enrol_unasked(run: Run, choose: Choose) -> None:
    other = replace(choose(run.state.enrolments), id="another", email="other@example.cl")
    run.change(enrolments=[*run.state.enrolments, other])


def refuse_enrolment(run: Run, choose: Choose) -> None:
    who = choose([one.who for one in run.operations if one.kind == INSCRIPCION])
    mine = [one.kind == INSCRIPCION and one.who == who for one in run.operations]
    run.operations = [
        replace(one, status=429, ids=()) if is_mine else one for one, is_mine in zip(run.operations, mine, strict=True)
    ]


BREAK: Final[dict[Callable[[Run, Choose], None], Promise]] = {
    lose_sale: Promise.DURABLE,
    write_sale_twice: Promise.ONCE,
    invent_sale: Promise.ASKED,
    change_quantity: Promise.ASKED,
    swap_maestro: Promise.ASKED,
    change_cost: Promise.ASKED,
    keep_refused_sale: Promise.ASKED,
    lose_void: Promise.DURABLE,
    invent_void: Promise.ASKED,
    miscount_week: Promise.WEEK,
    close_early: Promise.WEEK,
    lose_report: Promise.WEEK,
    report_twice: Promise.WEEK,
    lose_mail: Promise.MAIL,
    mail_twice: Promise.MAIL,
    miscount_mail: Promise.MAIL,
    misdirect_mail: Promise.MAIL,
    hide_seen_sale: Promise.READS,
    answer_404: Promise.READS,
    show_unasked_sale: Promise.READS,
    show_sale_too_early: Promise.READS,
    forget_seen_void: Promise.READS,
    show_other_earnings: Promise.READS,
    shrink_week: Promise.READS,
    swell_week: Promise.READS,
    overfill_cart_page: Promise.STOCK,
    miscount_stock: Promise.STOCK,
    leave_cart_empty: Promise.RESTOCK,
    write_line_twice: Promise.ONCE,
    lose_line: Promise.DURABLE,
    invent_line: Promise.ASKED,
    change_recipe: Promise.STOCK,
    leave_notice_open: Promise.RESTOCK,
    lose_notice: Promise.DURABLE,
    invent_notices: Promise.ASKED,
    forget_restock: Promise.RESTOCK,
    restock_without_notice: Promise.RESTOCK,
    restock_before_last_sale: Promise.RESTOCK,
    fill_half: Promise.RESTOCK,
    lose_enrolment: Promise.DURABLE,
    enrol_twice: Promise.ONCE,
    enrol_unasked: Promise.ASKED,
    refuse_enrolment: Promise.ASKED,
}
