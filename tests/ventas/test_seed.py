"""The rows of a new installation."""

import pytest
from django_celery_beat.models import PeriodicTask

from ventas import seed, tasks
from ventas.models import Producto

pytestmark = pytest.mark.django_db


def test_the_seed_keeps_staffs_edits(catalogue: None) -> None:
    Producto.objects.filter(pk="chico").update(precio=101)
    seed.sembrar_catalogo()
    seed.sembrar_horarios()
    seed.sembrar_horarios()
    assert Producto.objects.get(pk="chico").precio == 101
    assert [producto.receta.count() for producto in Producto.objects.all()] == [4, 4, 4]


def test_the_schedule_is_in_chilean_time() -> None:
    PeriodicTask.objects.filter(task__startswith="ventas.").delete()  # a migration made them
    seed.sembrar_horarios()
    monday = PeriodicTask.objects.get(name=seed.CERRAR_LUNES).crontab
    assert monday is not None
    assert str(monday.timezone) == "America/Santiago"
    assert (monday.minute, monday.hour, monday.day_of_week) == ("10", "0", "1")
    for row in PeriodicTask.objects.filter(task__startswith="ventas."):
        assert row.expire_seconds == 60  # a worker that was off does not find the hints of a weekend
        assert row.task in (tasks.cerrar_semanas.name, tasks.enviar_reportes.name)
