"""The weekly e-mail `Tu semana en MAMOCHI`. Its text and HTML are in `templates/ventas/`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

from gremio import mail
from ventas import calendario
from ventas.models import Cuenta, Producto, ReporteSemanal
from ventas.semanas import baja, reports
from ventas.semanas.reports import Resumen

ASUNTO: Final = "Tu semana en MAMOCHI"
DIAS: Final = ("Lunes", "Martes", "Miércoles", "Jueves", "Viernes", "Sábado", "Domingo")


@dataclass(frozen=True)
class Carta:
    """The data of one e-mail.

    `resumen` has the days and products of the report; `anterior` is the maestro's report of the
    week before, if there is one; `nombres` are the names of the products by code.
    """

    reporte: ReporteSemanal
    resumen: Resumen
    cuenta: Cuenta
    anterior: ReporteSemanal | None
    nombres: dict[str, str]


def cartas(reportes: Sequence[ReporteSemanal]) -> list[Carta]:
    """Return the data of these reports' e-mails: three queries, and one more per week."""
    if not reportes:
        return []
    cuentas = Cuenta.objects.in_bulk([reporte.maestro_id for reporte in reportes])
    nombres = dict(Producto.objects.values_list("codigo", "nombre"))
    previous, resumenes = _previous_reports(reportes), _resumenes(reportes)
    return [
        Carta(
            reporte=reporte,
            resumen=resumenes[reporte.semana_id, reporte.maestro_id],
            cuenta=cuentas[reporte.maestro_id],
            anterior=previous.get((reporte.semana_id - calendario.SEMANA, reporte.maestro_id)),
            nombres=nombres,
        )
        for reporte in reportes
    ]


def _previous_reports(reportes: Sequence[ReporteSemanal]) -> dict[tuple[date, UUID], ReporteSemanal]:
    """Return the reports of the weeks before, by week and maestro."""
    found = ReporteSemanal.objects.filter(
        semana_id__in={reporte.semana_id - calendario.SEMANA for reporte in reportes},
        maestro_id__in=[reporte.maestro_id for reporte in reportes],
    )
    return {(reporte.semana_id, reporte.maestro_id): reporte for reporte in found}


def _resumenes(reportes: Sequence[ReporteSemanal]) -> dict[tuple[date, UUID], Resumen]:
    """Return the summaries by week and maestro. One query per week."""
    of_week: dict[date, list[UUID]] = defaultdict(list)
    for reporte in reportes:
        of_week[reporte.semana_id].append(reporte.maestro_id)
    return {
        (lunes, maestro): resumen
        for lunes, maestros in of_week.items()
        for maestro, resumen in reports.resumenes(lunes, maestros).items()
    }


def componer(carta: Carta) -> EmailMultiAlternatives:
    """Return the e-mail, ready to send; a short one if nothing was sold."""
    template = "semana" if carta.resumen.por_producto else "semana_sin_ventas"
    correo = mail.message(
        ASUNTO,
        f"ventas/{template}",
        _context(carta),
        to=carta.cuenta.email,
        message_id=message_id(carta.reporte),
    )
    correo.extra_headers |= baja.cabeceras(carta.cuenta.maestro_id)
    return correo


def message_id(reporte: ReporteSemanal) -> str:
    """Return the Message-ID: our retry keeps it, so that a mailbox shows a repeated e-mail once.

    An e-mail that a person asked for again is a new message.
    """
    codigo = calendario.codigo(reporte.semana_id)
    return mail.message_id("semana", codigo, reporte.maestro_id, *mail.resend_part(reporte.reenvios))


def _context(carta: Carta) -> dict[str, Any]:
    reporte, lunes = carta.reporte, carta.reporte.semana_id
    dias = _days(carta.resumen)
    return {
        "nombre": carta.cuenta.nombre.partition(" ")[0],
        "reporte": reporte,
        "lunes": lunes,
        "domingo": calendario.dias(lunes)[-1],
        "dias": dias,
        "mejor": max((dia for dia in dias if dia["ventas"]), key=lambda dia: int(dia["ganancias"]), default=None),
        "productos": _products(carta),
        "comparacion": _comparison(reporte, carta.anterior),
        "tardias": carta.resumen.tardias,
        "anuladas": carta.resumen.anuladas,
        "baja": baja.direccion(carta.cuenta.maestro_id),
        "resumen": f"{settings.SITE_URL}{reverse('ventas:venta-resumen')}?semana={calendario.codigo(lunes)}",
    }


def _days(resumen: Resumen) -> list[dict[str, Any]]:
    """Return each day with its bar's length (`ancho`): percent of the best day's earnings."""
    maximum = max(dia["ganancias"] for dia in resumen.por_dia)
    return [
        {
            "nombre": DIAS[index],
            "fecha": date.fromisoformat(dia["dia"]),
            "ventas": dia["cantidad_ventas"],
            "ganancias": dia["ganancias"],
            "ancho": max(2, round(100 * dia["ganancias"] / maximum)) if dia["ganancias"] > 0 else 0,
        }
        for index, dia in enumerate(resumen.por_dia)
    ]


def _products(carta: Carta) -> list[tuple[str, int]]:
    """Return the units by product name, most sold first.

    A product whose adjustments cancel out is left out.
    """
    unidades = sorted(carta.resumen.por_producto.items(), key=lambda par: -par[1])
    return [(carta.nombres.get(codigo, codigo), cuantas) for codigo, cuantas in unidades if cuantas]


def _comparison(reporte: ReporteSemanal, anterior: ReporteSemanal | None) -> dict[str, int | None] | None:
    """Return the change of the earnings since the week before; None without a report of that week.

    In CLP (`diferencia`, and `distancia` without sign), and in percent if that week had earnings.
    """
    if anterior is None:
        return None
    diferencia = reporte.ganancias - anterior.ganancias
    porcentaje = round(100 * diferencia / anterior.ganancias) if anterior.ganancias > 0 else None
    return {"diferencia": diferencia, "distancia": abs(diferencia), "porcentaje": porcentaje}
