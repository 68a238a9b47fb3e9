"""A guild with something of everything, made by the services and handlers of the product."""

from datetime import datetime, timedelta
from random import Random
from uuid import UUID, uuid4

from axes.models import AccessAttempt
from django.db import transaction
from django.utils import timezone

from inscripciones.events import InscripcionAprobada
from inscripciones.models import Decision, Envio, Inscripcion, Maestro
from inscripciones.tramite import revision
from kafka_bridge.events.codec import decode
from kafka_bridge.models import ConsumerOffset, DeadLetter, OutboxMessage
from stock import consumers as carts
from stock.events import StockAgotado
from tests.support import people, sales
from tests.support.staff import make_staff
from ventas import calendario
from ventas import consumers as accounts
from ventas.models import ReporteSemanal, Semana

NAMES = ("Ana Rojas Vera", "Beto Soto Lillo", "Carla Díaz Mena", "Delia Ñanco Paz", "Eva Muñoz Ríos", "Fidel Vega Leal")
COMUNAS = ("Ñuñoa", "Valparaíso", "Temuco")


@transaction.atomic
def populate(now: datetime | None = None) -> list[Maestro]:
    """Fill the database; return the maestros, by name. `now`: the time up to which they sell."""
    now = now or timezone.now()
    maestros = _enrol()
    sell(maestros, now)
    _close_last_week(maestros, now)
    _fail(maestros[0], now)
    return maestros


def _enrol() -> list[Maestro]:
    forms = [
        (people.make_paid_form if n % 3 == 0 else people.make_form)(nombre=name, comuna=COMUNAS[n % 3])
        for n, name in enumerate(NAMES)
    ]
    waiting = [people.make_paid_form(nombre="Gina"), people.make_form(nombre="Hugo"), people.make_form(nombre="Inés")]
    applied = people.register(*forms)
    revision.aprobar([form.pk for form in applied], por=make_staff("rosario"), motivo="", ahora=timezone.now())
    people.register(*waiting, people.make_form(rut=waiting[1]["rut"], nombre="Hugo Otro"))
    approvals = [event for event in _queued() if isinstance(event, InscripcionAprobada)]
    carts.abrir_carros(approvals)
    accounts.abrir_cuentas(approvals)
    return list(Maestro.objects.order_by("nombre"))


def _queued() -> list[object]:
    return [decode(dict(row.headers), bytes(row.value)) for row in OutboxMessage.objects.order_by("id")]


def sell(maestros: list[Maestro], now: datetime) -> None:
    """Let the maestros sell since the morning, and the distributors fill the first carts."""
    dice = Random(7)
    morning = max(timezone.localtime(now).replace(hour=0, minute=5), timezone.localtime(now) - timedelta(hours=9))
    span = (now - morning).total_seconds()
    for n, maestro in enumerate(maestros):
        for served in (n < 3, False):
            moments = sorted(now - timedelta(seconds=dice.random() * span) for _ in range(10 if served else 3 + n))
            sold = [sales.sale(maestro.pk, vendida_en=moment, time=moment) for moment in moments]
            sales.enter(*sold)
            carts.descontar_ventas(sold)
            if served:
                carts.reponer_carros([event for event in _queued() if isinstance(event, StockAgotado)])
    mistake = sales.sale(maestros[0].pk, vendida_en=now - timedelta(minutes=5), time=now)
    sales.enter(mistake)
    void = sales.void_of(mistake, now)
    sales.enter(void)
    carts.devolver_anuladas([void])


def _close_last_week(maestros: list[Maestro], now: datetime) -> None:
    monday = calendario.semana_de(now) - calendario.SEMANA
    at = calendario.comienzo(monday) + timedelta(days=2, hours=13)
    sales.enter(*(sales.sale(maestro.pk, vendida_en=at, time=at) for maestro in maestros for _ in range(5)))
    sales.close(monday, now)
    reports = ReporteSemanal.objects.filter(semana=monday)
    reports.update(envio=ReporteSemanal.EstadoCorreo.ENVIADO, enviado_en=now)
    reports.filter(maestro_id=maestros[1].pk).update(
        envio=ReporteSemanal.EstadoCorreo.FALLIDO, respuesta="550 5.1.1 no such user", intentos=3, enviado_en=None
    )
    Semana.objects.get_or_create(lunes=calendario.semana_de(now), defaults={"hasta": now + timedelta(days=4)})


def _fail(maestro: Maestro, now: datetime) -> None:
    """Add what waits for the operators: letters, refused messages, failed logins and mails."""
    Envio.objects.filter(inscripcion=maestro.inscripcion).update(estado=Envio.Estado.DETENIDO, ultimo_error="550")
    dead_letter(now)
    OutboxMessage.objects.filter(pk=OutboxMessage.objects.order_by("id").values("pk")[:1]).update(
        refused_at=now, refusal="MSG_SIZE_TOO_LARGE"
    )
    Decision.objects.create(inscripcion_id=uuid4(), estado=Inscripcion.Estado.APROBADA, decidida_en=now)
    AccessAttempt.objects.create(
        username="ana", ip_address="192.0.2.7", user_agent="Firefox", attempt_time=now, failures_since_start=3
    )
    ConsumerOffset.objects.create(
        consumer="contabilidad", topic="mamochi.ventas", partition=0, next_offset=17, topic_uuid=str(UUID(int=1))
    )


def dead_letter(now: datetime) -> DeadLetter:
    """Add a sale that the accounts could not read."""
    event = sales.sale(uuid4(), vendida_en=now, time=now)
    return DeadLetter.objects.create(
        consumer="contabilidad",
        topic="mamochi.ventas",
        partition=3,
        offset=17,
        event_type="mamochi.ventas.venta-registrada.v1",
        headers=[["ce_type", "mamochi.ventas.venta-registrada.v1"], ["ce_id", str(event.id)]],
        value=b'{"producto": "mediano", "cantidad": "dos"}',
        message_at=now,
        reason=DeadLetter.Reason.SCHEMA,
        error="Undecodable: Expected `int`, got `str` - at `$.cantidad`",
        traceback='File "codec.py", line 140, in read\n    event = decode(value)',
        attempts=1,
    )
