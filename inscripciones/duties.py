"""What the enrolments owe: credentials, rejections and notices by e-mail."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Min, Q

from inscripciones.models import Envio
from kafka_bridge.duties import Duty, duty, overdue

PACIENCIA: Final = 180.0  # a sweep comes each minute
INTENTOS: Final = 3  # a mail that failed so often needs a look, though it is still being tried


@duty
def correos(now: datetime) -> Duty:
    """The e-mails that are due, and those that do not get through."""
    abiertos = ~Q(estado__in=[Envio.Estado.ENVIADO, Envio.Estado.DETENIDO])
    recientes = Q(estado=Envio.Estado.DETENIDO, creado_en__gte=now - timedelta(days=7))
    found = Envio.objects.filter(abiertos | recientes).aggregate(
        since=Min("proximo_intento", filter=abiertos & Q(proximo_intento__lte=now)),
        failed=Count("pk", filter=recientes | Q(intentos__gte=INTENTOS)),
    )
    return Duty(
        work="correos",
        overdue_s=overdue(found["since"], now),
        patience_s=PACIENCIA,
        late="Hay correos de inscripciones que debieron salir",
        late_do="Revisa que el worker de Celery y Beat estén corriendo, y que Valkey responda.",
        failed=found["failed"],
        failure="correos de inscripciones no llegan a su destino",
        failure_do="En «correos por enviar» está lo que dijo el servidor: corrige la dirección o el servidor, y reintenta.",
    )
