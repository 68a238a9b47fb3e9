"""The enrolment form, the decision about it, the maestro it makes, and each e-mail to send.

Constraints hold what must be true: one living enrolment per RUT and per e-mail address, and a
payment receipt that is used once.
"""

from typing import ClassVar, Final

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import Func, Q, Value
from django.db.models.functions import Concat, Lower, Now
from django.utils import timezone

# For the search box of staff: letters are written plainly, and what joins words separates them.
_WRITTEN: Final = "áéíóúüñ-_./:'’@"
_PLAIN: Final = "aeiouun        "
# The words of name and comuna; an index of both tables is of this expression.
WORDS: Final = SearchVector(
    Func(Lower(Concat("nombre", Value(" "), "comuna")), Value(_WRITTEN), Value(_PLAIN), function="translate"),
    config="simple",
)


def plain(text: str) -> str:
    """Write a text as WORDS has it."""
    return text.lower().translate(str.maketrans(_WRITTEN, _PLAIN))


class Usuario(AbstractUser):
    """A user: staff with a password, or a maestro (`maestro_id` is set) with a token instead.

    A maestro's `username` is the maestro's id: RUT and e-mail address stand in `Maestro` only.
    """

    maestro_id = models.UUIDField("id de maestro", null=True, blank=True, unique=True, editable=False)
    # Of the maestro's comuna. It stands here because authentication reads this row anyway.
    zona = models.CharField("zona horaria", max_length=40, default="America/Santiago", editable=False)

    class Meta(AbstractUser.Meta):
        verbose_name = "usuario"
        verbose_name_plural = "usuarios"


class Inscripcion(models.Model):
    """An enrolment form. `id` is the id that the applicant got; times are UTC.

    `veredictos`: the verdict of each rule, as `[{"regla", "resultado", "razon"}]`
    (see formulario/reglas.py).
    """

    class Estado(models.TextChoices):
        EN_REVISION = "en_revision", "en revisión"
        # Another living enrolment has its RUT or e-mail address; the API answers `en_revision`.
        REPETIDA = "repetida", "repetida"
        # The same person sent the same form again, or paid; the API answers the state of `unida_a`.
        UNIDA = "unida", "unida a otra"
        APROBADA = "aprobada", "aprobada"
        RECHAZADA = "rechazada", "rechazada"

    PENDIENTES: ClassVar = (Estado.EN_REVISION, Estado.REPETIDA)
    VIVAS: ClassVar = (Estado.EN_REVISION, Estado.APROBADA)  # they hold their RUT and address
    RESUELTAS: ClassVar = (Estado.APROBADA, Estado.RECHAZADA)

    id = models.UUIDField("id", primary_key=True, editable=False)
    nombre = models.CharField("nombre", max_length=120)
    rut = models.CharField("RUT", max_length=12, db_index=True)
    email = models.EmailField("correo", db_index=True)
    buzon = models.CharField("buzón", max_length=254, db_index=True, help_text="El correo sin sus alias.")
    telefono = models.CharField("teléfono", max_length=16)
    comuna = models.CharField("comuna", max_length=60)
    paid = models.BooleanField("pagada", default=False)
    comprobante_pago = models.CharField("comprobante de pago", max_length=64, blank=True)
    estado = models.CharField("estado", max_length=12, choices=Estado.choices)
    unida_a = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="unidas", verbose_name="unida a"
    )
    motivo = models.TextField("motivo", blank=True, help_text="Lo que lee quien postula.")
    veredictos = models.JSONField("veredictos", default=list)
    recibida_en = models.DateTimeField("recibida")
    registrada_en = models.DateTimeField("registrada", db_default=Now(), editable=False)
    resuelta_en = models.DateTimeField("resuelta", null=True, blank=True)
    resuelta_por = models.ForeignKey(
        Usuario, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="resuelta por"
    )

    class Meta:
        verbose_name = "inscripción"
        verbose_name_plural = "inscripciones"
        permissions = [
            ("aprobar_inscripcion", "Puede aprobar inscripciones"),
            ("rechazar_inscripcion", "Puede rechazar inscripciones"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["rut"], condition=Q(estado__in=["en_revision", "aprobada"]), name="one_living_enrolment_a_rut"
            ),
            models.UniqueConstraint(
                fields=["email"],
                condition=Q(estado__in=["en_revision", "aprobada"]),
                name="one_living_enrolment_a_mail",
            ),
            models.CheckConstraint(
                condition=Q(estado__in=["en_revision", "repetida", "unida"], resuelta_en=None)
                | Q(estado__in=["aprobada", "rechazada"], resuelta_en__isnull=False),
                name="decided_when_resolved",
            ),
            models.CheckConstraint(
                condition=Q(estado="unida", unida_a__isnull=False) | (~Q(estado="unida") & Q(unida_a=None)),
                name="joined_to_another",
            ),
        ]
        indexes = [
            models.Index(fields=["estado", "-paid", "recibida_en"], name="review_queue"),
            models.Index(fields=["recibida_en"], name="enrolments_by_day"),
            GinIndex(WORDS, name="words_of_enrolments"),
        ]

    def __str__(self) -> str:
        return f"{self.nombre} ({self.get_estado_display()})"

    @property
    def via(self) -> str:
        return "paid" if self.paid else "normal"


class Decision(models.Model):
    """A decision without its form: after a restore, its event may be replayed before the form's."""

    inscripcion_id = models.UUIDField("id de inscripción", primary_key=True)
    estado = models.CharField("estado", max_length=12, choices=Inscripcion.Estado.choices)
    motivo = models.TextField("motivo", blank=True)
    decidida_en = models.DateTimeField("decidida")

    class Meta:
        verbose_name = "decisión sin formulario"
        verbose_name_plural = "decisiones sin formulario"

    def __str__(self) -> str:
        return f"{self.inscripcion_id}: {self.get_estado_display()}"


class Comprobante(models.Model):
    """A payment receipt that is used up, and the enrolment that used it.

    If the paid form was joined to an earlier enrolment (`unida_a`), it is the earlier one. `codigo`
    is the key that `normalizacion.clave_de_comprobante` returns. No later enrolment can use the
    receipt again.
    """

    codigo = models.CharField("código", max_length=64, primary_key=True)
    inscripcion = models.OneToOneField(Inscripcion, models.PROTECT, verbose_name="inscripción")

    class Meta:
        verbose_name = "comprobante de pago"
        verbose_name_plural = "comprobantes de pago"

    def __str__(self) -> str:
        return self.codigo


class Maestro(models.Model):
    """A member of the guild, whose `id` is derived from the enrolment's.

    A maestro who leaves has an inactive `usuario`. `correo_desde` is the time of the last
    correction of the address: an older correction changes nothing.
    """

    id = models.UUIDField("id", primary_key=True, editable=False)
    inscripcion = models.OneToOneField(Inscripcion, models.PROTECT, verbose_name="inscripción")
    usuario = models.OneToOneField(Usuario, models.PROTECT, related_name="maestro", verbose_name="usuario")
    nombre = models.CharField("nombre", max_length=120)
    rut = models.CharField("RUT", max_length=12, unique=True)
    email = models.EmailField("correo", unique=True)
    correo_desde = models.DateTimeField("correo desde", null=True, editable=False)
    telefono = models.CharField("teléfono", max_length=16)
    comuna = models.CharField("comuna", max_length=60)
    aprobado_en = models.DateTimeField("aprobado", default=timezone.now)

    class Meta:
        verbose_name = "maestro"
        verbose_name_plural = "maestros"
        ordering = ["nombre"]
        indexes = [GinIndex(WORDS, name="words_of_maestros")]
        permissions = [
            ("reenviar_credenciales", "Puede reenviar credenciales"),
            ("anular_credenciales", "Puede anular credenciales"),
            ("corregir_correo", "Puede corregir el correo de un maestro"),
            ("dar_de_baja_maestro", "Puede dar de baja a un maestro"),
            ("reactivar_maestro", "Puede reactivar a un maestro"),
        ]

    def __str__(self) -> str:
        return self.nombre


class Envio(models.Model):
    """An e-mail to send. A worker claims it by a conditional update, then sends it.

    The text is not stored: it is made when the mail is sent, and may bring a token.
    `id` is derived from the mail's cause, so that the same cause leads to one mail.
    `proximo_intento` (UTC) is when the mail is due and, while a worker sends it, when that
    worker's claim lapses. `ultimo_error` is SMTP's code without SMTP's text, which may quote an
    address. `reenvios` counts how often a person asked for the mail again.
    """

    class Tipo(models.TextChoices):
        CREDENCIALES = "credenciales", "credenciales"
        RECHAZO = "rechazo", "rechazo"
        AVISO = "aviso", "aviso de datos repetidos"

    class Estado(models.TextChoices):
        PENDIENTE = "pendiente", "pendiente"
        ENVIANDO = "enviando", "enviándose"
        ENVIADO = "enviado", "enviado"
        # A person must look: the mailbox refused it for good, the maestro left, or a backup was
        # restored.
        DETENIDO = "detenido", "detenido"

    ABIERTOS: ClassVar = (Estado.PENDIENTE, Estado.ENVIANDO)
    # The `ultimo_error` of credentials that are not sent because their maestro left the guild.
    DE_BAJA: ClassVar = "dado de baja"

    id = models.UUIDField("id", primary_key=True, editable=False)
    tipo = models.CharField("tipo", max_length=12, choices=Tipo.choices)
    inscripcion = models.ForeignKey(Inscripcion, models.PROTECT, verbose_name="inscripción")
    estado = models.CharField("estado", max_length=10, choices=Estado.choices, default=Estado.PENDIENTE)
    intentos = models.PositiveIntegerField("intentos", default=0)
    proximo_intento = models.DateTimeField("próximo intento", db_default=Now())
    ultimo_error = models.CharField("último error", max_length=100, blank=True)
    message_id = models.CharField("Message-ID", max_length=200, blank=True)
    creado_en = models.DateTimeField("creado", db_default=Now())
    enviado_en = models.DateTimeField("enviado", null=True, blank=True)
    reenvios = models.PositiveIntegerField("reenvíos", default=0)

    class Meta:
        verbose_name = "correo por enviar"
        verbose_name_plural = "correos por enviar"
        constraints = [
            models.UniqueConstraint(
                fields=["inscripcion"], condition=Q(tipo="credenciales"), name="one_credentials_mail_an_enrolment"
            )
        ]
        indexes = [
            models.Index(
                fields=["proximo_intento"], condition=~Q(estado__in=["enviado", "detenido"]), name="mails_due"
            ),
            models.Index(fields=["creado_en"], condition=Q(estado="detenido"), name="mails_held"),
        ]

    def __str__(self) -> str:
        return f"{self.get_tipo_display()} ({self.get_estado_display()})"
