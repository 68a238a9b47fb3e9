"""The sweep as Beat runs it."""

from uuid import UUID

from django.apps import apps
from django_celery_beat.models import PeriodicTask

from kafka_bridge.consuming import progress
from stock import consumers, seed
from stock.names import TOPICO_DE_VENTAS
from stock.tasks import revisar_avisos
from tests.stock.carts import inventario_has_counted, notice, states_of


def test_the_sweep_is_in_beats_schedule_once(db: None) -> None:
    seed.sembrar(apps)
    row = PeriodicTask.objects.get(task=revisar_avisos.name)
    assert row.enabled
    assert "10" in str(row.interval)


def test_the_sweep_decides_with_kafkas_own_offsets(rosa: UUID, topics: None) -> None:
    consumers.reponer_carros([notice(rosa)])
    ends = progress.topic_ends(TOPICO_DE_VENTAS)
    for partition, end in ends.offsets.items():
        inventario_has_counted(end, partition, ends.topic_uuid)
    revisar_avisos()
    assert states_of(rosa) == [("", "infundado")]


def test_a_notice_outlives_the_topic_of_sales(rosa: UUID, topics: None) -> None:
    """The topic was deleted and made again: no message will reach the offsets of the old one."""
    ends = progress.topic_ends(TOPICO_DE_VENTAS)
    of_the_old_topic = {partition: end + 500 for partition, end in ends.offsets.items()}
    consumers.reponer_carros([notice(rosa, ventas_hasta=of_the_old_topic, ventas_topico="the old one")])
    for partition, end in ends.offsets.items():
        inventario_has_counted(end, partition, ends.topic_uuid)
    revisar_avisos()
    assert states_of(rosa) == [("", "infundado")]
