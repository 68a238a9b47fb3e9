"""One settings module for every place; what differs comes from the environment (contract: README, Environment).

In production (DEBUG off) each variable without a safe default must be set: the process refuses to start and names it.
"""

import re
from datetime import timedelta
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy

from kafka_bridge.telemetry import logs

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()


def required(name: str, development: str) -> str:
    """The variable's value; in development it may be missing, in production its absence stops the process."""
    value = env.str(name, default="")
    if value or DEBUG:
        return str(value or development)
    raise ImproperlyConfigured(f"Set {name} in the environment: it has no safe default in production (DEBUG off).")


def rate_limit(name: str, default: str) -> str:
    """The variable's value, `number/period` or empty; anything else stops the process."""
    value = str(env.str(name, default=default))
    if value and not re.fullmatch(r"[1-9][0-9]*/(s|sec|second|m|min|minute|h|hour|d|day)", value):
        raise ImproperlyConfigured(f"{name} is a number, a slash and a period, like 60/min, or empty: not {value!r}.")
    return value


DEBUG: bool = env.bool("DEBUG", default=False)
SECRET_KEY = required("SECRET_KEY", "development-only-" + "x" * 50)
ALLOWED_HOSTS = required("ALLOWED_HOSTS", "127.0.0.1,localhost").split(",")

INSTALLED_APPS = [
    "mamochi_site.apps.MamochiSiteConfig",
    "unfold",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_prometheus",
    "rest_framework",
    "knox",
    "mamochi_site.apps.AccesosConfig",  # django-axes
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "import_export",
    "kafka_bridge",
    "inscripciones",
    "stock",
    "ventas",
]
MIDDLEWARE = [
    "kafka_bridge.telemetry.middleware.log_requests",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "mamochi_site.middleware.ContentSecurityPolicy",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "kafka_bridge.telemetry.middleware.probes_before_host_check",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "mamochi_site.middleware.nobody_else_sees",
    "mamochi_site.middleware.limit_body",
    "mamochi_site.middleware.only_utf8",
    "mamochi_site.middleware.impossible_values",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "mamochi_site" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "mamochi_site.urls"
WSGI_APPLICATION = "mamochi_site.wsgi.application"

# Database: psycopg 3. A connection lives on and is checked before a request uses it.
DATABASES = {"default": env.db_url_config(required("DATABASE_URL", "postgresql://mamochi@127.0.0.1:5432/mamochi"))}
DATABASES["default"].update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 3,
    "application_name": "mamochi",
    **DATABASES["default"].get("OPTIONS", {}),  # of the URL: sslmode and the like
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Kafka
# What the event engine cannot know (kafka_bridge/README.md). Changing SOURCE or NAMESPACE breaks retries and replays.
KAFKA_BRIDGE = {
    "SOURCE": "mamochi",
    "NAMESPACE": "https://mamochi.cl/events",
    "CONTRACTS": BASE_DIR / "tests" / "contracts",
    "SHORTEST_RETENTION_DAYS": 14,  # a week, its closing and a backup of the week before
    "TITLE": "MAMOCHI",
    "DESCRIPTION": "Los eventos del gremio de los maestros motehuesilleros de Chile, en Apache Kafka.",
}
KAFKA_BOOTSTRAP_SERVERS = required("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
KAFKA_CLIENT_CONFIG: dict[str, str] = {
    "bootstrap.servers": KAFKA_BOOTSTRAP_SERVERS,
    **{
        option: value
        for option, variable in {
            "security.protocol": "KAFKA_SECURITY_PROTOCOL",
            "sasl.mechanism": "KAFKA_SASL_MECHANISM",
            "sasl.username": "KAFKA_SASL_USERNAME",
            "sasl.password": "KAFKA_SASL_PASSWORD",
            "ssl.ca.location": "KAFKA_SSL_CA_LOCATION",
        }.items()
        if (value := env.str(variable, default=""))
    },
}

# Users, sessions, passwords
AUTH_USER_MODEL = "inscripciones.Usuario"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
SESSION_COOKIE_AGE = 14 * 86_400  # seconds: a maestro's phone. A token that is rotated or voided ends it at once
ADMIN_SESSION_AGE = 12 * 3_600  # seconds: staff log in anew each day, whatever they were doing
LOGIN_URL = reverse_lazy("inscripciones:entrar")
LOGIN_REDIRECT_URL = "/api/v1/"
LOGOUT_REDIRECT_URL = LOGIN_URL

# Passwords are guessed at the administration's login only: a maestro's token has a limit of its own (LIMITE_ENTRADAS).
# Attempts are in the database (django-axes' default handler): one count for all web processes, also after a restart, and no
# login works without the database anyway. By name and address together: the name alone would let any stranger lock staff
# out, the address alone a whole office behind one.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # or the row of an attempt grows as long as someone hammers on it
AXES_CLIENT_IP_CALLABLE = "inscripciones.api.throttling.direccion"
AXES_LOCKOUT_CALLABLE = "mamochi_site.views.locked_out"
AXES_DISABLE_ACCESS_LOG = True  # who logged in when: nobody asked for it
AXES_ENABLE_ADMIN = False  # inscripciones/admin.py has the page
AXES_VERBOSE = False

# API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "inscripciones.api.authentication.TokenDeMaestro",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["inscripciones.api.permissions.EsMaestro"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": [
        "gremio.json_parser.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",  # the forms of the browsable API
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "gremio.errors.exception_handler",
    "COERCE_DECIMAL_TO_STRING": False,
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),  # 0: X-Forwarded-For is a client's own word, and ignored
}
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=365),
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_PREFIX": "mmc_",
    "TOKEN_LIMIT_PER_USER": None,
    "AUTO_REFRESH": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "MAMOCHI",
    "DESCRIPTION": "La API del gremio de los maestros motehuesilleros de Chile.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}
MAX_BODY_BYTES = 1_000_000
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

# Celery: tasks are acknowledged when done, and never hold a secret
CELERY_BROKER_URL = required("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5  # seconds: how soon Beat sees an edit of its schedule
CELERY_BEAT_SYNC_EVERY = 1  # writes down each start: by that one sees whether Beat runs (monitoring.py)
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 3,
    "socket_connect_timeout": 3,
    "max_retries": 1,  # a hint that does not get through is given up at once: a sweep finds the row
    "interval_start": 0,
    "interval_step": 0.2,
}
CELERY_TIMEZONE = "America/Santiago"

# Mail
vars().update(env.email_url_config(required("EMAIL_URL", "smtp://127.0.0.1:1025")))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="MAMOCHI <no-responder@mamochi.cl>")
CORREOS_POR_SEGUNDO: float = env.float(
    "CORREOS_POR_SEGUNDO", default=50.0
)  # of the weekly ones, which one worker sends at a time; 0: no limit
SITE_URL: str = env.str("SITE_URL", default="http://127.0.0.1:8000")  # where the links in e-mails lead

IMPORT_EXPORT_ESCAPE_ILLEGAL_CHARS_ON_EXPORT = True  # XLSX has no control characters, and SMTP servers answer anything

# The guild's choices
REVISION_AUTOMATICA: bool = env.bool("REVISION_AUTOMATICA", default=False)
# Per client address, as "number/period" (second, min, hour, day); empty: no limit. Each web process counts its own
# unless CACHE_URL names a shared cache (inscripciones/throttling.py).
LIMITE_INSCRIPCIONES = rate_limit("LIMITE_INSCRIPCIONES", "60/min")
LIMITE_ENTRADAS = rate_limit("LIMITE_ENTRADAS", "20/min")
CACHES = {"default": env.cache_url("CACHE_URL", default="locmemcache://")}

# Chile
LANGUAGE_CODE = "es-cl"
TIME_ZONE = "America/Santiago"
USE_TZ = True
USE_THOUSAND_SEPARATOR = True
FORMAT_MODULE_PATH = "mamochi_site.formats"

# Static files are served by the web process
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# HTTPS: on in production unless said otherwise (the embedded stack speaks plain HTTP on loopback)
HTTPS_ONLY: bool = env.bool("HTTPS_ONLY", default=not DEBUG)
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS_ONLY else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS_ONLY
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"

# What a browser may do with our pages. No script but our own files (the administration: see middleware.py). Styles may stand
# in the page, as those of unfold, the browsable API and our charts do: what they could ask for is 'self' again.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF, "'unsafe-inline'"],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
PERMISSIONS_POLICY: dict[str, list[str]] = {
    feature: []
    for feature in (
        *("camera", "display-capture", "fullscreen", "geolocation", "microphone", "midi", "payment", "usb"),
        *("accelerometer", "gyroscope", "magnetometer", "screen-wake-lock", "publickey-credentials-get"),
    )
}

# One JSON line a request, batch and task in production; LOG_FORMAT=text for a person's eyes
LOG_FORMAT: str = env.str("LOG_FORMAT", default="text" if DEBUG else "json")
if LOG_FORMAT not in ("json", "text"):
    raise ImproperlyConfigured("LOG_FORMAT must be json or text.")
PERSONAL_DATA = [
    r"(?<![\w.-])(?:\d{1,2}\.\d{3}\.\d{3}|\d{7,8})-[\dkK](?![\w-])",  # a RUT
    r"\bmmc_\w+",  # an API token
]
LOGGING = logs.configure("json" if LOG_FORMAT == "json" else "text", personal_data=PERSONAL_DATA)
LOGGING["loggers"]["axes"] = {"level": "WARNING"}  # four lines a login otherwise

UNFOLD = {
    "SITE_TITLE": "MAMOCHI",
    "SITE_HEADER": "MAMOCHI",
    "SITE_SYMBOL": "local_cafe",
    "SITE_URL": "/api/v1/",
}
