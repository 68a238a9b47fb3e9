"""Problems of due work, as the overview shows them."""

from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from inscripciones.models import Envio, Inscripcion
from kafka_bridge.monitoring import overview
from tests.support.monitoring import problems_of
from ventas.models import Semana


def test_late_work_is_a_problem(transactional_db: None, kafka: str) -> None:
    """E-mails without a worker, a Beat that stopped, and a week that is not closed."""
    call_command("create_topics", verbosity=0)
    PeriodicTask.objects.all().delete()  # those of the migrations are as old as the test run
    PeriodicTask.objects.create(
        name="barrido", task="t", interval=IntervalSchedule.objects.create(every=60, period="seconds")
    )
    pedido = Inscripcion.objects.create(
        id=uuid4(),
        nombre="Rosa",
        rut="12345678-5",
        email="rosa@example.cl",
        telefono="+56987654321",
        comuna="Ñuñoa",
        estado="rechazada",
        recibida_en=timezone.now(),
        resuelta_en=timezone.now(),
    )
    Envio.objects.create(id=uuid4(), tipo="rechazo", inscripcion=pedido)
    Semana.objects.create(lunes=date(2020, 1, 6), hasta=timezone.now() - timedelta(days=1))
    text = problems_of(overview.take(timezone.now() + timedelta(minutes=10)))
    assert "Hay correos de inscripciones que debieron salir hace 10 min." in text
    assert "Beat no inicia las tareas periódicas, que debían partir hace 9 min." in text
    assert "Hay una semana sin cerrar, que terminó hace 24 h." in text
    overdue = {work.work: work.overdue_s for work in overview.take().due_work}
    assert overdue["reportes"] == pytest.approx(0)
