"""The weekly e-mail, `Tu semana en MAMOCHI`: what it says is in `templates/ventas/`, as text and as HTML."""

from dataclasses import dataclass
from datetime import date
from email.utils import parseaddr
from typing import Any, Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from ventas import calendario
from ventas.models import Cuenta, ReporteSemanal
from ventas.semanas.reports import Resumen

ASUNTO: Final = "Tu semana en MAMOCHI"
DIAS: Final = ("Lunes", "Martes", "Miércoles", "Jueves", "Viernes", "Sábado", "Domingo")


@dataclass(frozen=True)
class Carta:
    """What a mail is made of. `resumen`: the report's days and products; `anterior`: the report of the week before."""

    reporte: ReporteSemanal
    resumen: Resumen
    cuenta: Cuenta
    anterior: ReporteSemanal | None
    nombres: dict[str, str]  # of products, by code


def componer(carta: Carta) -> EmailMultiAlternatives:
    """The mail, ready to send; short where nothing was sold."""
    plantilla = "semana" if carta.resumen.por_producto else "semana_sin_ventas"
    contexto = _contexto(carta)
    mail = EmailMultiAlternatives(
        ASUNTO,
        render_to_string(f"ventas/{plantilla}.txt", contexto),
        to=[carta.cuenta.email],
        headers={"Message-ID": message_id(carta.reporte), "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"ventas/{plantilla}.html", contexto), "text/html")
    return mail


def message_id(reporte: ReporteSemanal) -> str:
    """Always the same for a report, so that a mailbox shows a repeated mail once."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<semana.{calendario.codigo(reporte.semana_id)}.{reporte.maestro_id}@{domain}>"


def _contexto(carta: Carta) -> dict[str, Any]:
    reporte, lunes = carta.reporte, carta.reporte.semana_id
    codigo = calendario.codigo(lunes)
    dias = _dias(carta.resumen)
    return {
        "nombre": carta.cuenta.nombre.partition(" ")[0],
        "reporte": reporte,
        "lunes": lunes,
        "domingo": calendario.dias(lunes)[-1],
        "dias": dias,
        "mejor": max((dia for dia in dias if dia["ventas"]), key=lambda dia: int(dia["ganancias"]), default=None),
        "productos": _productos(carta),
        "comparacion": _comparacion(reporte, carta.anterior),
        "tardias": carta.resumen.tardias,
        "anuladas": carta.resumen.anuladas,
        "resumen": f"{settings.SITE_URL}{reverse('ventas:venta-resumen')}?semana={codigo}",
    }


def _dias(resumen: Resumen) -> list[dict[str, Any]]:
    """Each day with the share, in percent, of the best day's earnings: the length of its bar."""
    maximo = max(dia["ganancias"] for dia in resumen.por_dia)
    return [
        {
            "nombre": DIAS[indice],
            "fecha": date.fromisoformat(dia["dia"]),
            "ventas": dia["cantidad_ventas"],
            "ganancias": dia["ganancias"],
            "ancho": max(2, round(100 * dia["ganancias"] / maximo)) if dia["ganancias"] > 0 else 0,
        }
        for indice, dia in enumerate(resumen.por_dia)
    ]


def _productos(carta: Carta) -> list[tuple[str, int]]:
    """Units by product's name, most sold first, without those whose adjustments cancel out."""
    unidades = sorted(carta.resumen.por_producto.items(), key=lambda par: -par[1])
    return [(carta.nombres.get(codigo, codigo), cuantas) for codigo, cuantas in unidades if cuantas]


def _comparacion(reporte: ReporteSemanal, anterior: ReporteSemanal | None) -> dict[str, int | None] | None:
    """How far the earnings are from the week before's: CLP, and percent where that week earned something."""
    if anterior is None:
        return None
    diferencia = reporte.ganancias - anterior.ganancias
    porcentaje = round(100 * diferencia / anterior.ganancias) if anterior.ganancias > 0 else None
    return {"diferencia": diferencia, "distancia": abs(diferencia), "porcentaje": porcentaje}
