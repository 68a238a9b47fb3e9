"""What applicants send (`mamochi.inscripciones`) and what the guild decides about them (`mamochi.maestros`)."""

from typing import ClassVar
from uuid import UUID

from kafka_bridge.events import Event, Instant
from kafka_bridge.topics import Topic

INSCRIPCIONES = Topic(name="mamochi.inscripciones", partitions=4, priority_lane="paid")
MAESTROS = Topic(name="mamochi.maestros", partitions=3)


class InscripcionRecibida(Event, frozen=True):
    """A form as the applicant sent it, validated and normalised. Only `paid` ones travel on the priority partition."""

    type: ClassVar[str] = "mamochi.inscripciones.inscripcion-recibida.v1"
    topic: ClassVar[Topic] = INSCRIPCIONES
    summary = "Llegó un formulario de inscripción; los pagados van por la partición prioritaria."
    example = {
        "nombre": "Rosa Ñáñez Peña",
        "rut": "12345678-5",
        "email": "rosa@example.cl",
        "telefono": "+56987654321",
        "comuna": "Ñuñoa",
        "comprobante_pago": "TRX-000123",
    }
    inscripcion_id: UUID
    nombre: str
    rut: str
    email: str
    telefono: str
    comuna: str
    paid: bool
    comprobante_pago: str = ""

    @property
    def key(self) -> str:
        return str(self.inscripcion_id)

    @property
    def priority(self) -> bool:
        return self.paid


class InscripcionAprobada(Event, frozen=True):
    """The guild has a new maestro: `stock` opens the cart, `ventas` the account."""

    type: ClassVar[str] = "mamochi.maestros.inscripcion-aprobada.v1"
    topic: ClassVar[Topic] = MAESTROS
    summary = "El gremio aprobó a un maestro: se abren su carro y su cuenta."
    example = {"nombre": "Rosa Ñáñez Peña", "email": "rosa@example.cl"}
    inscripcion_id: UUID
    maestro_id: UUID
    nombre: str
    email: str
    aprobada_en: Instant

    @property
    def key(self) -> str:
        return str(self.maestro_id)


class InscripcionRechazada(Event, frozen=True):
    """The guild said no; `motivo` is the reason in Spanish, as the applicant reads it."""

    type: ClassVar[str] = "mamochi.maestros.inscripcion-rechazada.v1"
    topic: ClassVar[Topic] = MAESTROS
    summary = "El gremio rechazó una inscripción, con su motivo."
    example = {"motivo": "El comprobante de pago ya se usó."}
    inscripcion_id: UUID
    motivo: str
    rechazada_en: Instant

    @property
    def key(self) -> str:
        return str(self.inscripcion_id)
