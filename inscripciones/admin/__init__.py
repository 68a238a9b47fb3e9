"""The guild's desk for enrolments: one module per page. Django discovers this package; importing a page registers it."""

from inscripciones.admin import envios, inscripciones, maestros, usuarios

__all__ = ["envios", "inscripciones", "maestros", "usuarios"]
