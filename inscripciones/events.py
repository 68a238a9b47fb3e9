"""Events: applicants' forms (`mamochi.inscripciones`) and the decisions (`mamochi.maestros`)."""

from typing import Annotated, ClassVar
from uuid import UUID

import msgspec

from kafka_bridge.events import Event, Instant, Text, Topic

INSCRIPCIONES = Topic(name="mamochi.inscripciones", partitions=4, priority_lane="paid")
MAESTROS = Topic(name="mamochi.maestros", partitions=3)
Nombre = Annotated[Text, msgspec.Meta(max_length=120)]
Correo = Annotated[Text, msgspec.Meta(max_length=254)]


class InscripcionRecibida(Event, frozen=True):
    """An applicant's form, validated and normalised. Only paid forms use the priority partition."""

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
    nombre: Nombre
    rut: Annotated[Text, msgspec.Meta(max_length=12)]
    email: Correo
    telefono: Annotated[Text, msgspec.Meta(max_length=16)]
    comuna: Annotated[Text, msgspec.Meta(max_length=60)]
    paid: bool
    comprobante_pago: Annotated[Text, msgspec.Meta(max_length=64)] = ""

    @property
    def key(self) -> str:
        return str(self.inscripcion_id)

    @property
    def priority(self) -> bool:
        return self.paid


class InscripcionAprobada(Event, frozen=True):
    """The guild approved a maestro: `stock` opens the maestro's cart, `ventas` the account."""

    type: ClassVar[str] = "mamochi.maestros.inscripcion-aprobada.v1"
    topic: ClassVar[Topic] = MAESTROS
    summary = "El gremio aprobó a un maestro: se abren su carro y su cuenta."
    example = {"nombre": "Rosa Ñáñez Peña", "email": "rosa@example.cl"}
    inscripcion_id: UUID
    maestro_id: UUID
    nombre: Nombre
    email: Correo
    aprobada_en: Instant

    @property
    def key(self) -> str:
        return str(self.maestro_id)

    @property
    def cause_key(self) -> str:
        return str(self.inscripcion_id)


class InscripcionRechazada(Event, frozen=True):
    """The guild rejected an enrolment; `motivo` is the reason, in Spanish, for the applicant."""

    type: ClassVar[str] = "mamochi.maestros.inscripcion-rechazada.v1"
    topic: ClassVar[Topic] = MAESTROS
    summary = "El gremio rechazó una inscripción, con su motivo."
    example = {"motivo": "El comprobante de pago ya se usó."}
    inscripcion_id: UUID
    motivo: Annotated[Text, msgspec.Meta(max_length=2_000)]
    rechazada_en: Instant

    @property
    def key(self) -> str:
        return str(self.inscripcion_id)


class CorreoCorregido(Event, frozen=True):
    """The guild corrected a maestro's e-mail address: every later mail goes to the new one."""

    type: ClassVar[str] = "mamochi.maestros.correo-corregido.v1"
    topic: ClassVar[Topic] = MAESTROS
    summary = "El gremio corrigió el correo de un maestro."
    example = {"email": "rosa@example.cl"}
    maestro_id: UUID
    email: Correo

    @property
    def key(self) -> str:
        return str(self.maestro_id)
