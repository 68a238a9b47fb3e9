"""The admin of enrolment, one module per page. Importing this package registers the pages."""

from inscripciones.admin import envios, inscripciones, maestros, usuarios

__all__ = ["envios", "inscripciones", "maestros", "usuarios"]
