"""The handlers of the consumer `contabilidad`: sales, voids and maestros enter the accounts."""

from inscripciones.events import CorreoCorregido, InscripcionAprobada
from kafka_bridge.consuming.handlers import Gathers, handles
from ventas import libro
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.libro import CONTABILIDAD
from ventas.models import Cuenta


@handles(VentaRegistrada, consumer=CONTABILIDAD, gathers=Gathers.ALWAYS)
def registrar_ventas(ventas: list[VentaRegistrada]) -> None:
    """Enter each sale in the ledger, in the accounting week that is open for it."""
    libro.registrar(ventas)


@handles(VentaAnulada, consumer=CONTABILIDAD)
def anular_ventas(anulaciones: list[VentaAnulada]) -> None:
    """Take back sales registered by mistake.

    A sale of a closed week is subtracted in the open week, as an adjustment.
    """
    libro.anular(anulaciones)


@handles(InscripcionAprobada, consumer=CONTABILIDAD)
def abrir_cuentas(aprobadas: list[InscripcionAprobada]) -> None:
    """Open an account for each approved maestro, with the address for the weekly e-mail."""
    libro.abrir_cuentas(
        Cuenta(maestro_id=una.maestro_id, nombre=una.nombre, email=una.email, abierta_en=una.aprobada_en)
        for una in aprobadas
    )


@handles(CorreoCorregido, consumer=CONTABILIDAD)
def corregir_correos(corregidos: list[CorreoCorregido]) -> None:
    """Replace mistyped addresses, so that the weekly e-mails no longer go to another person."""
    libro.corregir_correos((uno.maestro_id, uno.email, uno.time) for uno in corregidos)
