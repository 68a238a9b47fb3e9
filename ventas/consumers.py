"""Contabilidad: sales, voids and new maestros into the accounts."""

from inscripciones.events import CorreoCorregido, InscripcionAprobada
from kafka_bridge.consuming.handlers import handles
from ventas import libro
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.models import Cuenta


@handles(VentaRegistrada, consumer="contabilidad")
def registrar_ventas(ventas: list[VentaRegistrada]) -> None:
    """Enters each sale in the ledger, in the accounting week that is open for it."""
    libro.registrar(ventas)


@handles(VentaAnulada, consumer="contabilidad")
def anular_ventas(anulaciones: list[VentaAnulada]) -> None:
    """Takes back a sale registered by mistake; of a closed week, as an adjustment of the open one."""
    libro.anular(anulaciones)


@handles(InscripcionAprobada, consumer="contabilidad")
def abrir_cuentas(aprobadas: list[InscripcionAprobada]) -> None:
    """Opens a maestro's account, to write the week to."""
    libro.abrir_cuentas(
        Cuenta(maestro_id=una.maestro_id, nombre=una.nombre, email=una.email, abierta_en=una.aprobada_en)
        for una in aprobadas
    )


@handles(CorreoCorregido, consumer="contabilidad")
def corregir_correos(corregidos: list[CorreoCorregido]) -> None:
    """Weekly e-mails go to the address that the guild corrected, not to the stranger's that was mistyped."""
    libro.corregir_correos((uno.maestro_id, uno.email, uno.time) for uno in corregidos)
