"""What the accounts owe: to close each week that is over, and to send its reports."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Min, Q
from django.db.models.functions import Coalesce

from kafka_bridge.duties import Duty, duty, overdue
from ventas.models import ReporteSemanal, Semana

PACIENCIA_DE_CIERRE: Final = 7_200.0  # Beat closes a while after midnight, and tries again
PACIENCIA_DE_CORREOS: Final = 1_800.0  # thousands of mails go out at CORREOS_POR_SEGUNDO
VIGENCIA: Final = timedelta(days=15)  # for how long a report that was not sent is worth a person's time


@duty
def cierre(now: datetime) -> Duty:
    """The oldest week that is over and not closed."""
    vencidas = Semana.objects.exclude(estado=Semana.Estado.CERRADA).filter(hasta__lte=now)
    return Duty(
        work="cierre",
        overdue_s=overdue(vencidas.aggregate(since=Min("hasta"))["since"], now),
        patience_s=PACIENCIA_DE_CIERRE,
        late="Hay una semana sin cerrar, que terminó",
        late_do="En «semanas» dice qué espera. Revisa que Beat y el worker de Celery estén corriendo.",
    )


@duty
def reportes(now: datetime) -> Duty:
    """The weekly e-mails that are due, and those that were given up or held."""
    pendientes = Q(envio=ReporteSemanal.Envio.PENDIENTE)
    fallidos = Q(envio=ReporteSemanal.Envio.FALLIDO, semana_id__gte=(now - VIGENCIA).date())
    debido = Coalesce("proximo_intento", "creado_en")
    found = (
        ReporteSemanal.objects.filter(pendientes | fallidos)
        .annotate(debido=debido)
        .aggregate(since=Min("debido", filter=pendientes & Q(debido__lte=now)), failed=Count("pk", filter=fallidos))
    )
    return Duty(
        work="reportes",
        overdue_s=overdue(found["since"], now),
        patience_s=PACIENCIA_DE_CORREOS,
        late="Hay correos de la semana que debieron salir",
        late_do="Revisa que el worker de Celery y Beat estén corriendo, y que el servidor de correo responda.",
        failed=found["failed"],
        failure="correos de la semana no salieron",
        failure_do="En «reportes semanales» está lo que dijo el servidor: corrige la dirección, y reenvía.",
    )
