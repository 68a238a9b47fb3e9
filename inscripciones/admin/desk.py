"""What enrolment adds to the admin's home and to a maestro's page."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from django.db.models import Count, Min, Q
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken

from gremio.desk import Panel, Row, Waiting, hace
from inscripciones import reports
from inscripciones.events import InscripcionAprobada, InscripcionRecibida
from inscripciones.models import Envio, Inscripcion, Maestro, Usuario

NEXT_SHOWN: Final = 6
MAILS_SHOWN: Final = 10
DAYS_DRAWN: Final = 14
CHART_WIDTH: Final = 400
QUEUE: Final = "admin:inscripciones_inscripcion_changelist"
ONE: Final = "admin:inscripciones_inscripcion_change"


def waiting(user: Usuario, now: datetime) -> Iterator[Waiting]:
    """Yield the enrolments to decide, by lane, and the e-mails that failed."""
    if user.has_perm("inscripciones.view_inscripcion"):
        yield from _to_decide()
    if user.has_perm("inscripciones.view_envio"):
        held = Envio.objects.filter(estado=Envio.Estado.DETENIDO).aggregate(Count("pk"), since=Min("creado_en"))
        url = f"{reverse('admin:inscripciones_envio_changelist')}?estado__exact={Envio.Estado.DETENIDO}"
        yield Waiting(what="Correos que no llegaron", count=held["pk__count"], since=held["since"], url=url)


def _to_decide() -> Iterator[Waiting]:
    review, repeated = Inscripcion.Estado.EN_REVISION, Inscripcion.Estado.REPETIDA
    queues = {
        "Paid por revisar": (Q(estado=review, paid=True), "?paid__exact=1"),
        "Normales por revisar": (Q(estado=review, paid=False), "?paid__exact=0"),
        "Con datos de otra inscripción": (Q(estado=repeated), f"?estado={repeated}"),
    }
    pending = Inscripcion.objects.filter(estado__in=Inscripcion.PENDIENTES)
    counts = {f"count{n}": Count("pk", filter=condition) for n, (condition, _) in enumerate(queues.values())}
    oldest = {f"since{n}": Min("recibida_en", filter=condition) for n, (condition, _) in enumerate(queues.values())}
    found = pending.aggregate(**counts, **oldest)
    for n, (what, (_, query)) in enumerate(queues.items()):
        yield Waiting(what=what, count=found[f"count{n}"], since=found[f"since{n}"], url=reverse(QUEUE) + query)


def panels(user: Usuario, now: datetime) -> Iterator[Panel]:
    """Yield the head of the review queue, and the enrolments of the last days."""
    if not user.has_perm("inscripciones.view_inscripcion"):
        return
    pending = Inscripcion.objects.filter(estado=Inscripcion.Estado.EN_REVISION).order_by("-paid", "recibida_en")
    yield Panel(
        title="Las próximas inscripciones",
        rows=[
            Row(
                text=one.nombre,
                url=reverse(ONE, args=[one.pk]),
                note=f"{reports.LANE_NAMES[one.paid]}, {one.comuna}, {hace(now - one.recibida_en)}",
            )
            for one in pending[:NEXT_SHOWN]
        ],
        empty="No hay inscripciones por revisar.",
        more=("Toda la fila", reverse(QUEUE)),
    )
    days = reports.por_dia(hasta=timezone.localdate(now), dias=DAYS_DRAWN)
    yield Panel(
        title=f"Inscripciones de los últimos {DAYS_DRAWN} días",
        picture=reports.grafico(days, ancho=CHART_WIDTH),
        more=("Más números", reverse("admin:inscripciones_inscripcion_ver_numeros")),
    )


def of_maestro(user: Usuario, maestro: Maestro, now: datetime) -> Iterator[Panel]:
    """Yield a maestro's enrolment, token, e-mails and first events."""
    if user.has_perm("inscripciones.view_inscripcion"):
        yield Panel(title="Inscripción", rows=[_enrolment(maestro.inscripcion)])
    yield Panel(title="Token", rows=list(_token(maestro)), empty="No tiene: reenvíale sus credenciales.")
    if user.has_perm("inscripciones.view_envio"):
        mails = Envio.objects.filter(inscripcion=maestro.inscripcion_id).order_by("-creado_en")
        yield Panel(
            title="Correos de su inscripción",
            rows=[_mail(mail) for mail in mails[:MAILS_SHOWN]],
            empty="No se le ha escrito.",
        )
    if user.has_perm("kafka_bridge.view_lookuppage"):
        yield Panel(title="Eventos", rows=list(_events(maestro)))


def _enrolment(one: Inscripcion) -> Row:
    received = f"recibida el {timezone.localtime(one.recibida_en):%d-%m-%Y %H:%M}"
    via = reports.LANE_NAMES[one.paid]
    return Row(text=f"{via}, {one.get_estado_display()}", url=reverse(ONE, args=[one.pk]), note=received)


def _token(maestro: Maestro) -> Iterator[Row]:
    token = AuthToken.objects.filter(user=maestro.usuario_id).order_by("-created").first()
    if token:
        url = f"{reverse('admin:inscripciones_maestro_changelist')}?q={maestro.pk}"
        made = f"Creado el {timezone.localtime(token.created):%d-%m-%Y %H:%M}"
        yield Row(text=made, url=url, note="se anula o se reenvía en la lista de maestros")


def _mail(mail: Envio) -> Row:
    moment = timezone.localtime(mail.enviado_en or mail.creado_en)
    note = ", ".join(filter(None, [mail.get_estado_display(), mail.ultimo_error, f"{moment:%d-%m-%Y %H:%M}"]))
    url = reverse("admin:inscripciones_envio_change", args=[mail.pk])
    return Row(text=mail.get_tipo_display().capitalize(), url=url, note=note)


def _events(maestro: Maestro) -> Iterator[Row]:
    lookup, enrolment = reverse("admin:kafka_bridge_lookuppage_changelist"), maestro.inscripcion_id
    yield Row(text="Formulario recibido", url=f"{lookup}?id={InscripcionRecibida.derive_id(enrolment)}")
    yield Row(text="Aprobación", url=f"{lookup}?id={InscripcionAprobada.derive_id(enrolment)}")
    yield Row(text="Todo lo de su inscripción", url=f"{lookup}?id={enrolment}")
