"""The tables of enrolment, and the project's user model."""

import django.contrib.auth.models
import django.contrib.auth.validators
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="Usuario",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "username",
                    models.CharField(
                        error_messages={"unique": "A user with that username already exists."},
                        help_text="Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
                        max_length=150,
                        unique=True,
                        validators=[django.contrib.auth.validators.UnicodeUsernameValidator()],
                        verbose_name="username",
                    ),
                ),
                ("first_name", models.CharField(blank=True, max_length=150, verbose_name="first name")),
                ("last_name", models.CharField(blank=True, max_length=150, verbose_name="last name")),
                ("email", models.EmailField(blank=True, max_length=254, verbose_name="email address")),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
                ("date_joined", models.DateTimeField(default=django.utils.timezone.now, verbose_name="date joined")),
                (
                    "maestro_id",
                    models.UUIDField(blank=True, editable=False, null=True, unique=True, verbose_name="id de maestro"),
                ),
                (
                    "zona",
                    models.CharField(
                        default="America/Santiago", editable=False, max_length=40, verbose_name="zona horaria"
                    ),
                ),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "verbose_name": "usuario",
                "verbose_name_plural": "usuarios",
                "abstract": False,
            },
            managers=[
                ("objects", django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name="Inscripcion",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False, verbose_name="id")),
                ("nombre", models.CharField(max_length=120, verbose_name="nombre")),
                ("rut", models.CharField(db_index=True, max_length=12, verbose_name="RUT")),
                ("email", models.EmailField(db_index=True, max_length=254, verbose_name="correo")),
                (
                    "buzon",
                    models.CharField(
                        db_index=True, help_text="El correo sin sus alias.", max_length=254, verbose_name="buzón"
                    ),
                ),
                ("telefono", models.CharField(max_length=16, verbose_name="teléfono")),
                ("comuna", models.CharField(max_length=60, verbose_name="comuna")),
                ("paid", models.BooleanField(default=False, verbose_name="pagada")),
                ("comprobante_pago", models.CharField(blank=True, max_length=64, verbose_name="comprobante de pago")),
                (
                    "estado",
                    models.CharField(
                        choices=[
                            ("en_revision", "en revisión"),
                            ("repetida", "repetida"),
                            ("unida", "unida a otra"),
                            ("aprobada", "aprobada"),
                            ("rechazada", "rechazada"),
                        ],
                        max_length=12,
                        verbose_name="estado",
                    ),
                ),
                ("motivo", models.TextField(blank=True, help_text="Lo que lee quien postula.", verbose_name="motivo")),
                ("veredictos", models.JSONField(default=list, verbose_name="veredictos")),
                ("recibida_en", models.DateTimeField(verbose_name="recibida")),
                (
                    "registrada_en",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="registrada"
                    ),
                ),
                ("resuelta_en", models.DateTimeField(blank=True, null=True, verbose_name="resuelta")),
                (
                    "resuelta_por",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="resuelta por",
                    ),
                ),
                (
                    "unida_a",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="unidas",
                        to="inscripciones.inscripcion",
                        verbose_name="unida a",
                    ),
                ),
            ],
            options={
                "verbose_name": "inscripción",
                "verbose_name_plural": "inscripciones",
                "permissions": [
                    ("aprobar_inscripcion", "Puede aprobar inscripciones"),
                    ("rechazar_inscripcion", "Puede rechazar inscripciones"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Decision",
            fields=[
                (
                    "inscripcion_id",
                    models.UUIDField(primary_key=True, serialize=False, verbose_name="id de inscripción"),
                ),
                (
                    "estado",
                    models.CharField(
                        choices=[
                            ("en_revision", "en revisión"),
                            ("repetida", "repetida"),
                            ("unida", "unida a otra"),
                            ("aprobada", "aprobada"),
                            ("rechazada", "rechazada"),
                        ],
                        max_length=12,
                        verbose_name="estado",
                    ),
                ),
                ("motivo", models.TextField(blank=True, verbose_name="motivo")),
                ("decidida_en", models.DateTimeField(verbose_name="decidida")),
            ],
            options={
                "verbose_name": "decisión sin formulario",
                "verbose_name_plural": "decisiones sin formulario",
            },
        ),
        migrations.CreateModel(
            name="Comprobante",
            fields=[
                ("codigo", models.CharField(max_length=64, primary_key=True, serialize=False, verbose_name="código")),
                (
                    "inscripcion",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="inscripciones.inscripcion",
                        verbose_name="inscripción",
                    ),
                ),
            ],
            options={
                "verbose_name": "comprobante de pago",
                "verbose_name_plural": "comprobantes de pago",
            },
        ),
        migrations.CreateModel(
            name="Maestro",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False, verbose_name="id")),
                ("nombre", models.CharField(max_length=120, verbose_name="nombre")),
                ("rut", models.CharField(max_length=12, unique=True, verbose_name="RUT")),
                ("email", models.EmailField(max_length=254, unique=True, verbose_name="correo")),
                ("correo_desde", models.DateTimeField(editable=False, null=True, verbose_name="correo desde")),
                ("telefono", models.CharField(max_length=16, verbose_name="teléfono")),
                ("comuna", models.CharField(max_length=60, verbose_name="comuna")),
                ("aprobado_en", models.DateTimeField(default=django.utils.timezone.now, verbose_name="aprobado")),
                (
                    "inscripcion",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="inscripciones.inscripcion",
                        verbose_name="inscripción",
                    ),
                ),
                (
                    "usuario",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="maestro",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="usuario",
                    ),
                ),
            ],
            options={
                "verbose_name": "maestro",
                "verbose_name_plural": "maestros",
                "ordering": ["nombre"],
                "permissions": [
                    ("reenviar_credenciales", "Puede reenviar credenciales"),
                    ("anular_credenciales", "Puede anular credenciales"),
                    ("corregir_correo", "Puede corregir el correo de un maestro"),
                    ("dar_de_baja_maestro", "Puede dar de baja a un maestro"),
                    ("reactivar_maestro", "Puede reactivar a un maestro"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Envio",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False, verbose_name="id")),
                (
                    "tipo",
                    models.CharField(
                        choices=[
                            ("credenciales", "credenciales"),
                            ("rechazo", "rechazo"),
                            ("aviso", "aviso de datos repetidos"),
                        ],
                        max_length=12,
                        verbose_name="tipo",
                    ),
                ),
                (
                    "estado",
                    models.CharField(
                        choices=[
                            ("pendiente", "pendiente"),
                            ("enviando", "enviándose"),
                            ("enviado", "enviado"),
                            ("detenido", "detenido"),
                        ],
                        default="pendiente",
                        max_length=10,
                        verbose_name="estado",
                    ),
                ),
                ("intentos", models.PositiveIntegerField(default=0, verbose_name="intentos")),
                (
                    "proximo_intento",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="próximo intento"
                    ),
                ),
                ("ultimo_error", models.CharField(blank=True, max_length=100, verbose_name="último error")),
                ("message_id", models.CharField(blank=True, max_length=200, verbose_name="Message-ID")),
                (
                    "creado_en",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="creado"),
                ),
                ("enviado_en", models.DateTimeField(blank=True, null=True, verbose_name="enviado")),
                ("reenvios", models.PositiveIntegerField(default=0, verbose_name="reenvíos")),
                (
                    "inscripcion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="inscripciones.inscripcion",
                        verbose_name="inscripción",
                    ),
                ),
            ],
            options={
                "verbose_name": "correo por enviar",
                "verbose_name_plural": "correos por enviar",
            },
        ),
        migrations.AddIndex(
            model_name="inscripcion",
            index=models.Index(fields=["estado", "-paid", "recibida_en"], name="review_queue"),
        ),
        migrations.AddIndex(
            model_name="inscripcion",
            index=models.Index(fields=["recibida_en"], name="enrolments_by_day"),
        ),
        migrations.AddConstraint(
            model_name="inscripcion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("estado__in", ["en_revision", "aprobada"])),
                fields=("rut",),
                name="one_living_enrolment_a_rut",
            ),
        ),
        migrations.AddConstraint(
            model_name="inscripcion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("estado__in", ["en_revision", "aprobada"])),
                fields=("email",),
                name="one_living_enrolment_a_mail",
            ),
        ),
        migrations.AddConstraint(
            model_name="inscripcion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("estado__in", ["en_revision", "repetida", "unida"]), ("resuelta_en", None)),
                    models.Q(("estado__in", ["aprobada", "rechazada"]), ("resuelta_en__isnull", False)),
                    _connector="OR",
                ),
                name="decided_when_resolved",
            ),
        ),
        migrations.AddConstraint(
            model_name="inscripcion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("estado", "unida"), ("unida_a__isnull", False)),
                    models.Q(models.Q(("estado", "unida"), _negated=True), ("unida_a", None)),
                    _connector="OR",
                ),
                name="joined_to_another",
            ),
        ),
        migrations.AddIndex(
            model_name="envio",
            index=models.Index(
                condition=models.Q(("estado__in", ["enviado", "detenido"]), _negated=True),
                fields=["proximo_intento"],
                name="mails_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="envio",
            constraint=models.UniqueConstraint(
                condition=models.Q(("tipo", "credenciales")),
                fields=("inscripcion",),
                name="one_credentials_mail_an_enrolment",
            ),
        ),
        migrations.AddIndex(
            model_name="envio",
            index=models.Index(condition=models.Q(("estado", "detenido")), fields=["creado_en"], name="mails_held"),
        ),
        migrations.AddIndex(
            model_name="inscripcion",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.search.SearchVector(
                    models.Func(
                        django.db.models.functions.text.Lower(
                            django.db.models.functions.text.Concat("nombre", models.Value(" "), "comuna")
                        ),
                        models.Value("áéíóúüñ-_./:'’@"),
                        models.Value("aeiouun        "),
                        function="translate",
                    ),
                    config="simple",
                ),
                name="words_of_enrolments",
            ),
        ),
        migrations.AddIndex(
            model_name="maestro",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.search.SearchVector(
                    models.Func(
                        django.db.models.functions.text.Lower(
                            django.db.models.functions.text.Concat("nombre", models.Value(" "), "comuna")
                        ),
                        models.Value("áéíóúüñ-_./:'’@"),
                        models.Value("aeiouun        "),
                        function="translate",
                    ),
                    config="simple",
                ),
                name="words_of_maestros",
            ),
        ),
    ]
