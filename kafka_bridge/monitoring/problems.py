"""TODO."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from kafka_bridge.brokers.cluster_state import ClusterState, TopicState
from kafka_bridge.monitoring.due_work import Duty
from kafka_bridge.monitoring.system_state import GroupState, Outbox

SLOW_SECONDS: Final = 60.0  # what waits for longer is worth a sentence

MANY_MESSAGES: Final = 1_000  # so many are worth one too, where nobody knows for how long they wait


class Problem(msgspec.Struct, frozen=True):
    """What is wrong, and what to do about it, in Spanish. `grave`: the guild is not served, or soon will not be."""

    what: str
    do: str
    grave: bool


def _of_kafka(kafka: ClusterState | None) -> Iterator[Problem]:
    if kafka is None:
        yield Problem(
            "Kafka no responde.",
            "Lo que llega se guarda en la base de datos y saldrá solo cuando vuelva; mientras tanto no se procesa. "
            "Revisa que los brokers estén corriendo y que la red los alcance.",
            grave=True,
        )
        return
    if kafka.unanswered:
        yield Problem(
            f"Kafka responde a medias: no dijo {'; ni '.join(kafka.unanswered)}.",
            "Lo que lleva «?» no se sabe. Si no pasa en un minuto, un broker está congelado o sobrecargado: revísalos.",
            grave=True,
        )
    for topic in kafka.topics:
        if topic.missing:
            yield Problem(f"Falta el tópico {topic.name}.", "Ejecuta manage.py create_topics.", grave=True)
        yield from _of_partitions(topic)


def _of_partitions(topic: TopicState) -> Iterator[Problem]:
    headless = [partition.number for partition in topic.partitions if partition.leader < 0]
    thin = [one.number for one in topic.partitions if one.number not in headless and one.in_sync < one.replicas]
    if headless:
        what = f"{topic.name} no tiene líder en {_partitions(headless)}: ahí no se puede escribir ni leer."
        yield Problem(what, "Levanta el broker que falta: ninguno de los vivos tiene esos datos al día.", grave=True)
    if thin:
        what = f"{topic.name} tiene menos copias de las debidas en {_partitions(thin)}."
        yield Problem(
            what, "No se ha perdido nada. Levanta el broker caído; las copias se completan solas.", grave=False
        )


def _partitions(numbers: list[int]) -> str:
    return f"la partición {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} particiones"


def _of_outbox(outbox: Outbox, kafka: ClusterState | None) -> Iterator[Problem]:
    if outbox.messages and outbox.oldest_s > SLOW_SECONDS and kafka is not None:
        yield Problem(
            f"El outbox tiene {outbox.messages} mensajes; el más antiguo espera hace {duration(outbox.oldest_s)}.",
            "Kafka responde, así que falta quien los envíe: revisa que manage.py run_outbox_relay esté corriendo.",
            grave=True,
        )


def _of_groups(groups: list[GroupState]) -> Iterator[Problem]:
    for group in groups:
        late = f" Le faltan {group.lag} mensajes." if group.lag else ""
        if group.members == 0:
            yield Problem(
                f"Nadie atiende «{group.group}».{late}",
                f"Inicia manage.py run_consumer {group.consumer}. Si se detuvo solo, su registro dice por qué.",
                grave=True,
            )
        elif group.paused:
            yield Problem(
                f"«{group.group}» está en pausa: tiene procesos y no aplica nada hace {duration(group.still_s)}.{late}",
                "Suele esperar a la base de datos, y sigue solo: no lo reinicies, su registro dice qué espera.",
                grave=True,
            )
        elif _is_late(group):
            wait = "no se sabe hace cuánto" if group.waiting_s is None else f"hace {duration(group.waiting_s)}"
            yield Problem(
                f"«{group.group}» va atrasado: el mensaje más antiguo espera {wait}.{late}",
                "Si el atraso baja, espera. Si sube, inicia otro proceso igual; si no se mueve, mira su registro.",
                grave=True,
            )


def _is_late(group: GroupState) -> bool:
    if group.waiting_s is None:
        return (group.lag or 0) > MANY_MESSAGES
    return group.waiting_s > SLOW_SECONDS


def _of_duties(owed: Iterable[Duty]) -> Iterator[Problem]:
    for duty in owed:
        if duty.overdue_s > duty.patience_s:
            yield Problem(f"{duty.late} hace {duration(duty.overdue_s)}.", duty.late_do, grave=True)
        if duty.failed:
            yield Problem(f"{duty.failed} {duty.failure}.", duty.failure_do, grave=False)


def _of_dead(groups: list[GroupState]) -> Iterator[Problem]:
    for group in groups:
        if group.open_dead_letters and not group.lane:
            yield Problem(
                f"«{group.consumer}» tiene {group.open_dead_letters} mensajes no procesados.",
                "Revísalos en «mensajes no procesados»: corrige y reenvía, o descarta con un motivo.",
                grave=False,
            )


def duration(seconds: float) -> str:
    """As people say it: 8 s, 3 min, 2 h, 4 días."""
    for size, unit in ((86_400, "días"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
