import pytest

from kafka_bridge.brokers.cluster_state import ClusterState, PartitionState, TopicState
from kafka_bridge.monitoring import problems
from kafka_bridge.monitoring.due_work import DueWork
from kafka_bridge.monitoring.system_state import GroupState, Outbox, Progress, Refused


def a_group(lag: int, waiting_s: float | None, still_s: float, **causes: list[str]) -> GroupState:
    return GroupState(
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
        **causes,
    )


@pytest.mark.parametrize(
    ("causes", "advice"),
    [
        ({"open_transactions": ["t[0] desde el offset 1"]}, "transacción abierta en t[0] desde el offset 1"),
        ({"recreated": ["t"]}, "Se borró y se volvió a crear t"),
        ({}, "Desde aquí no se ve por qué"),
    ],
)
def test_advice_follows_what_was_observed(causes: dict[str, list[str]], advice: str) -> None:
    [problem] = problems.of_groups([a_group(5, 40.0, 50.0, **causes)])
    assert advice in problem.advice
    assert "base de datos" not in problem.advice


def test_missing_rights_are_named() -> None:
    topic = TopicState("orders", [], None, no_rights=True, declared=3)
    [problem] = problems.of_kafka(ClusterState({}, [topic], {}, {}, {}, {}, {}, []))
    assert "no le da permiso" in problem.summary
    assert "No se sabe si el tópico existe" in problem.advice


def test_surplus_partitions_are_named() -> None:
    partitions = [PartitionState(number, 1, 1, 1, 0, 0) for number in range(6)]
    topic = TopicState("orders", partitions, None, declared=4)
    [problem] = problems.of_kafka(ClusterState({}, [topic], {}, {}, {}, {}, {}, []))
    assert problem.summary == "orders tiene 6 particiones y se declararon 4."
    assert not problem.grave


def test_an_outbox_that_waits_for_something_unknown() -> None:
    [problem] = problems.of_outbox(Outbox(3, 120.0), kafka_answers=True)
    assert "no se ve si manage.py run_outbox_relay" in problem.advice


@pytest.mark.parametrize(
    ("error", "cause"), [("MSG_SIZE_TOO_LARGE", "max.message.bytes"), ("INVALID_RECORD", "contenido del mensaje")]
)
def test_a_refusal_is_named_with_its_remedy(error: str, cause: str) -> None:
    [problem] = problems.of_refused([Refused("orders", error, 2)])
    assert problem.summary == f"Kafka rechaza definitivamente 2 mensajes ya aceptados de orders ({error})."
    assert cause in problem.advice
    assert ("max.message.bytes" in problem.advice) == (error == "MSG_SIZE_TOO_LARGE")
    assert "«Reenviar lo que Kafka rechazó»" in problem.advice


@pytest.mark.parametrize(
    ("lag", "waiting_s", "still_s", "problem"),
    [(300_000, None, 1.0, "va atrasado"), (5, None, 1.0, ""), (5, 40.0, 50.0, "está en pausa"), (5, 40.0, 1.0, "")],
)
def test_consumer_that_is_behind(lag: int, waiting_s: float | None, still_s: float, problem: str) -> None:
    group = a_group(lag, waiting_s, still_s)
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
