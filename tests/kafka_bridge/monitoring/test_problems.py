import pytest

from kafka_bridge.monitoring import problems
from kafka_bridge.monitoring.due_work import DueWork
from kafka_bridge.monitoring.system_state import GroupState, Progress


@pytest.mark.parametrize(
    ("lag", "waiting_s", "still_s", "problem"),
    [(300_000, None, 1.0, "va atrasado"), (5, None, 1.0, ""), (5, 40.0, 50.0, "está en pausa"), (5, 40.0, 1.0, "")],
)
def test_consumer_that_is_behind(lag: int, waiting_s: float | None, still_s: float, problem: str) -> None:
    group = GroupState(
        group="orders",
        consumer="orders",
        lane="",
        members=1,
        hosts=[],
        last_batch=None,
        still_s=still_s,
        open_dead_letters=0,
        recent_dead_letters=0,
        progress=[Progress("t", 0, 1, lag, waiting_s)],
    )
    found = [one.grave for one in problems.of_groups([group]) if problem in one.summary]
    assert found == [True] * bool(problem)
    assert group.state == ("en pausa" if "pausa" in problem else "aplicando")


@pytest.mark.parametrize(("overdue_s", "failed", "grave"), [(60, 0, []), (600, 0, [True]), (0, 3, [False])])
def test_due_work_is_late_or_failed(overdue_s: float, failed: int, grave: list[bool]) -> None:
    work = DueWork(
        work="invoices",
        overdue_s=overdue_s,
        tolerance_s=180,
        late="Hay facturas que debieron salir",
        late_advice="",
        failed=failed,
        failure="facturas no salieron",
    )
    found = list(problems.of_due_work([work]))
    assert [one.grave for one in found] == grave
    if overdue_s > 180:
        assert found[0].summary == "Hay facturas que debieron salir hace 10 min."
    if failed:
        assert found[0].summary == "3 facturas no salieron."
