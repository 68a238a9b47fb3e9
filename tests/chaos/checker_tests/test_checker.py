"""The checker passes what is correct, and finds each corruption under the right promise."""

import ast
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.chaos.checker import history, state
from tests.chaos.checker.check import findings
from tests.chaos.checker.findings import Promise
from tests.chaos.checker.history import READ_CART, READ_SALE, READ_SALES, READ_WEEK, History, to_line
from tests.chaos.checker_tests.corruptions import BREAK, Choose, Run
from tests.chaos.checker_tests.world import CAPACITIES, CATALOGUE, OUTCOMES, World

Act = tuple[Any, ...]  # a method of World, the number of a member, arguments

MEMBERS = 2
CHECKER = Path(history.__file__).parent
outcomes = st.sampled_from(sorted(OUTCOMES))
members = st.integers(0, MEMBERS - 1)
products = st.lists(st.sampled_from(sorted(CATALOGUE)), min_size=1, max_size=3)
ACTS = st.one_of(
    st.tuples(st.just("sell"), members, products, st.lists(outcomes, min_size=1, max_size=3)),
    st.tuples(st.just("take_back"), members, st.integers(0, 9), outcomes),
    st.tuples(st.just("report"), members, st.sampled_from(sorted(CAPACITIES)), outcomes),
    st.tuples(st.just("arrive"), members),
    st.tuples(st.just("read"), members, st.sampled_from([READ_CART, READ_SALE, READ_SALES, READ_WEEK])),
)


def played(acts: list[Act]) -> Run:
    """Play a beginning in which everything occurs, then these acts."""
    world = World(MEMBERS)
    beginning: list[Act] = []
    for number in range(MEMBERS):
        beginning += [
            ("sell", number, ["chico", "grande"], ["answer lost", "accepted"]),
            ("arrive", number),
            ("sell", number, ["chico"], ["accepted"]),
            ("report", number, "mote", "accepted"),
            ("take_back", number, 0, "accepted"),
            ("arrive", number),
            *(("read", number, kind) for kind in (READ_SALES, READ_SALE, READ_WEEK, READ_CART)),
        ]
    for name, member, *arguments in [*beginning, *acts]:
        getattr(world, name)(world.members[member], *arguments)
    return Run(world.operations, world.end())


@given(st.lists(ACTS, max_size=40))
def test_correct_history_passes(acts: list[Act]) -> None:
    run = played(acts)
    assert findings(History(run.operations), run.state) == []


@pytest.mark.parametrize("corrupt", BREAK, ids=lambda corrupt: corrupt.__name__)
@settings(max_examples=20, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data(), st.lists(ACTS, max_size=20))
def test_corruption_is_found(corrupt: Callable[[Run, Choose], None], data: st.DataObject, acts: list[Act]) -> None:
    run = played(acts)

    def choose(items: Sequence[Any]) -> Any:
        assume(items)
        return items[data.draw(st.integers(0, len(items) - 1))]

    corrupt(run, choose)
    found = findings(History(run.operations), run.state)
    assert BREAK[corrupt] in {finding.promise for finding in found}, found


@pytest.mark.parametrize(("ahead", "promises"), [(0, set()), (-1, {Promise.WEEK, Promise.MAIL})])
def test_maestro_approved_after_the_boundary_needs_no_report(ahead: int, promises: set[Promise]) -> None:
    world = World(MEMBERS)
    run = Run(world.operations, world.end())
    boundary = run.state.boundary
    assert boundary is not None
    late = run.state.maestros[0]
    run.change(
        maestros=[replace(late, approved=boundary + ahead), *run.state.maestros[1:]],
        reports=[report for report in run.state.reports if report.maestro != late.id],
        mails=[mail for mail in run.state.mails if mail.to != late.email],
    )
    assert {finding.promise for finding in findings(History(run.operations), run.state)} == promises


def test_journal_is_read_back(tmp_path: Path) -> None:
    run = played([])
    path = tmp_path / "journal.jsonl"
    path.write_text("".join(map(to_line, run.operations)) + '{"asked": 9')  # the run was interrupted here
    again = history.read(path)
    assert findings(again, run.state) == []
    assert again.operations == run.operations
    assert [one.line for one in again.operations] == list(range(1, len(run.operations) + 1))


def test_cost_is_rounded_half_up_once() -> None:
    from decimal import Decimal

    rows = [
        {"product": "chico", "price": 1_500, "ingredient": code, "amount": 5, "each": Decimal(each)}
        for code, each in (("mote", "0.05"), ("jugo", "0.05"))
    ]
    assert state.catalogue_of(rows)["chico"].cost == 1


def test_numbers_of_an_email_are_read(tmp_path: Path) -> None:
    head = b"To: rosa@example.cl\nSubject: Tu semana en MAMOCHI\nMessage-ID: <a@b>\nContent-Type: text/plain\n\n"
    (tmp_path / "1.eml").write_bytes(head + b"Ganancias: -$1.250\nVentas:    1.002\nUnidades:  3\nIngresos:  $0\n")
    assert list(state.weekly_mails(tmp_path)) == [state.Mail("rosa@example.cl", "<a@b>", 1_002, 3, 0, -1_250)]


def test_checker_imports_no_product_code() -> None:
    for path in CHECKER.glob("*.py"):
        for module in imported(path):
            known = module.split(".")[0] in sys.stdlib_module_names | {"psycopg"}
            assert known or module.startswith("tests.chaos.checker"), f"{path.name} imports {module}"


def imported(path: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in nodes), "relative import"
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return [*plain, *(str(node.module) for node in nodes if isinstance(node, ast.ImportFrom))]
