"""Settings, the same module everywhere; the environment makes the difference (docs/deployment.md).

In production (DEBUG off) each variable without a safe default must be set. Otherwise the process
refuses to start and names the variable.
"""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy
from psycopg import IsolationLevel

from kafka_bridge.telemetry import logs
from mamochi_site import connections, environment
from mamochi_site.environment import flag, items, number, partitions, rate_limit, text

BASE_DIR = Path(__file__).resolve().parent.parent
# It parses URLs; variables are read by environment.py.
env = environ.Env()


def required(name: str, development: str) -> str:
    """Return the variable's value, or the `development` value if it is missing and DEBUG is on.

    Raises ImproperlyConfigured if it is missing in production.
    """
    value = text(name)
    if value.strip() or DEBUG:
        return value if value.strip() else development
    raise ImproperlyConfigured(f"Set {name} in the environment: it has no safe default in production (DEBUG off).")


DEBUG = flag("DEBUG", default=False)
SECRET_KEY = required("SECRET_KEY", "development-only-" + "x" * 50)
# Earlier keys: links and sessions that were made with them stay valid.
SECRET_KEY_FALLBACKS = environment.items(text("SECRET_KEY_FALLBACKS"))
ALLOWED_HOSTS = environment.hosts(required("ALLOWED_HOSTS", "127.0.0.1,localhost"))

# The site's address, with which links in e-mails begin. Without SITE_URL it is the first allowed
# host over HTTPS, and `check --deploy` asks for it.
if text("SITE_URL"):
    SITE_URL = environment.site_url(text("SITE_URL"))
elif DEBUG:
    SITE_URL = "http://127.0.0.1:8000"
else:
    SITE_URL = environment.site_of_host(ALLOWED_HOSTS)
# Behind a proxy on another port, the port is in the browser's Origin and not in the Host header.
CSRF_TRUSTED_ORIGINS = [environment.origin_of(SITE_URL)]
CSRF_FAILURE_VIEW = "mamochi_site.web.views.csrf_failure"

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
    # django-axes:
    "mamochi_site.apps.AccesosConfig",
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
    "mamochi_site.web.middleware.accept_either_slash",
    "kafka_bridge.telemetry.middleware.log_requests",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "mamochi_site.web.middleware.Security",
    "mamochi_site.web.middleware.ContentSecurityPolicy",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "kafka_bridge.telemetry.middleware.probes_before_host_check",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "mamochi_site.web.middleware.no_store_for_users",
    "mamochi_site.web.middleware.limit_body",
    "mamochi_site.web.middleware.require_utf8",
    "mamochi_site.web.middleware.refuse_compressed_body",
    "mamochi_site.web.middleware.RejectInvalidValues",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "mamochi_site.web.middleware.refuse_what_is_too_much",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
    "mamochi_site.web.metrics.CountRequests",
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

# Database: psycopg 3. A connection is kept for 60 s and checked before a request uses it again.
DATABASES = {
    "default": environment.database(
        required("DATABASE_URL", "postgresql://mamochi@127.0.0.1:5432/mamochi"), env.db_url_config
    )
}
connections.check_url_files("DATABASE_URL", text("DATABASE_URL"))
# psycopg reads moments in this style only, whatever the server's default is; libpq sends it when it
# connects, and pools pass it on.
os.environ["PGDATESTYLE"] = "ISO"
# A pool may give each transaction another session (pgbouncer, pool_mode=transaction), so nothing
# depends on a session: no cursors of the server's, and prepared statements only where
# PREPARED_STATEMENTS says that no pool stands between.
PREPARED_STATEMENTS = flag("PREPARED_STATEMENTS", default=False)
DATABASES["default"].update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True, DISABLE_SERVER_SIDE_CURSORS=True)
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 3,
    "application_name": "mamochi",
    # In each BEGIN, whatever the server's default for this role is: locks and claims then see what
    # others have committed.
    "isolation_level": IsolationLevel.READ_COMMITTED,
    # A connection whose other end is gone is noticed after 10 + 3 * 5 s if it is idle, and after
    # 25 s if it has sent something. A frozen server still answers on this level: see
    # kafka_bridge/waits.py.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    # A prepared statement's plan is made once. PostgreSQL would plan the one that looks for a token
    # each time, because it expects ten tokens where the plan is made before they are known.
    **({"options": "-c plan_cache_mode=force_generic_plan"} if PREPARED_STATEMENTS else {}),
    # Options in the URL, such as sslmode, win:
    **DATABASES["default"].get("OPTIONS", {}),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Kafka. The product's values for the event engine (kafka_bridge/README.md). A change of NAMESPACE
# changes the ids of events, so that retries and replays are no longer recognised; a change of
# SOURCE changes the header of replays.
KAFKA_BRIDGE = {
    "SOURCE": "mamochi",
    "NAMESPACE": "https://mamochi.cl/events",
    "CONTRACTS": BASE_DIR / "tests" / "contracts",
    "PARTITIONS": partitions("KAFKA_PARTITIONS"),
    "PREPARED_STATEMENTS": PREPARED_STATEMENTS,
    "SHORTEST_RETENTION_DAYS": 14,  # a week, its closing and a backup of the week before
    "TITLE": "MAMOCHI",
    "DESCRIPTION": "Los eventos del gremio de los maestros motehuesilleros de Chile, en Apache Kafka.",
}
KAFKA_BOOTSTRAP_SERVERS = ",".join(items(required("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")))
KAFKA_CLIENT_CONFIG = connections.kafka_client(KAFKA_BOOTSTRAP_SERVERS)

# Users, sessions, passwords
AUTH_USER_MODEL = "inscripciones.Usuario"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Seconds: the session on a maestro's phone. Rotating or voiding the token ends it at once.
SESSION_COOKIE_AGE = 14 * 86_400
# Seconds: staff log in again each day.
ADMIN_SESSION_AGE = 12 * 3_600
LOGIN_URL = reverse_lazy("inscripciones:entrar")
LOGIN_REDIRECT_URL = "/api/v1/"
LOGOUT_REDIRECT_URL = LOGIN_URL

# django-axes locks an account whose password somebody guesses. Only the admin has passwords: a
# maestro logs in with a token, and has another limit (LIMITE_ENTRADAS). Attempts are counted in the
# database (django-axes' default handler), so all web processes share one count, also after a
# restart; without the database no login works anyway. Attempts are counted per name and address
# together: per name alone, anyone could lock staff out; per address alone, one person could lock
# out a whole office.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
# If True, the row of an attempt would grow for as long as somebody keeps trying.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "inscripciones.api.throttling.client_address"
AXES_LOCKOUT_CALLABLE = "mamochi_site.web.views.locked_out"
# There is no requirement to record who logged in when.
AXES_DISABLE_ACCESS_LOG = True
# The page for staff is in inscripciones/admin/.
AXES_ENABLE_ADMIN = False
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
        # The pages for people:
        "gremio.api.paginas.PaginaRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": [
        "gremio.api.json_parser.JSONParser",
        "gremio.api.form_parser.FormParser",
        "gremio.api.form_parser.MultiPartParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "gremio.api.errors.exception_handler",
    "COERCE_DECIMAL_TO_STRING": False,
    # 0: ignore X-Forwarded-For, because any client can write that header.
    "NUM_PROXIES": number("NUM_PROXIES", int, default=0, least=0),
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
    # Programs use JSON; forms and pages are for people, and confuse generators of clients.
    "PARSER_WHITELIST": ["gremio.api.json_parser.JSONParser"],
    "RENDERER_WHITELIST": ["rest_framework.renderers.JSONRenderer"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}
MAX_BODY_BYTES = 1_000_000
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

# Celery. A task is acknowledged when it is done, and never contains a secret.
CELERY_BROKER_URL = connections.with_checked_certificate(
    environment.broker("CELERY_BROKER_URL", required("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0"))
)
connections.check_url_files("CELERY_BROKER_URL", CELERY_BROKER_URL)
if os.environ.get("CELERY_BROKER_URL"):
    # Celery prefers the variable to its settings, so that it would miss what was corrected here.
    os.environ["CELERY_BROKER_URL"] = CELERY_BROKER_URL
CELERY_BEAT_SCHEDULER = "mamochi_site.background.beat:Scheduler"
# Seconds until Beat notices an edit of its schedule.
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
# Beat writes each start to the database, so that monitoring.py can see whether Beat runs.
CELERY_BEAT_SYNC_EVERY = 1
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 3,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    # Seconds without the broker's answer to a waiting worker, after which it connects again.
    "health_check_interval": 10,
    # A hint that cannot be sent is given up at once: a sweep finds its row later.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
}
# Beat adds seconds to times of this zone, so it must have no repeated hour. Rows on a calendar name
# their own zone, which is Chile's (mamochi_site/admin.py).
CELERY_TIMEZONE = "UTC"

# Mail
vars().update(environment.mail(required("EMAIL_URL", "smtp://127.0.0.1:1025"), env.email_url_config))
EMAIL_TIMEOUT = 10
# Without the variable, an address of the site's own host; `check --deploy` asks for it.
MAIL_HOST = "mamochi.cl" if DEBUG else urlsplit(SITE_URL).hostname
DEFAULT_FROM_EMAIL = environment.mail_address("DEFAULT_FROM_EMAIL", f"MAMOCHI <no-responder@{MAIL_HOST}>")
# Rate of the weekly e-mails, which one worker at a time sends; 0: no limit.
CORREOS_POR_SEGUNDO = number("CORREOS_POR_SEGUNDO", float, default=50.0, least=0)

# XLSX allows no control characters, and the answers of SMTP servers, which we export, may contain
# any.
IMPORT_EXPORT_ESCAPE_ILLEGAL_CHARS_ON_EXPORT = True

# The guild's choices
# If True, an enrolment that passes every rule is approved without a person.
REVISION_AUTOMATICA = flag("REVISION_AUTOMATICA", default=False)
# Limits per client address, as "number/period" (second, min, hour, day); empty: no limit. Each web
# process counts separately unless CACHE_URL names a shared cache (inscripciones/api/throttling.py).
LIMITE_INSCRIPCIONES = rate_limit("LIMITE_INSCRIPCIONES", "60/min")
LIMITE_ENTRADAS = rate_limit("LIMITE_ENTRADAS", "20/min")
CACHES = {"default": environment.cache(text("CACHE_URL", "locmemcache://"), env.cache_url_config)}

# Chile
LANGUAGE_CODE = "es-cl"
TIME_ZONE = "America/Santiago"
USE_TZ = True
USE_THOUSAND_SEPARATOR = True
FORMAT_MODULE_PATH = "mamochi_site.formats"

# Static files, which the web process serves
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
# Their addresses change with their content (mamochi_site/templatetags/paginas.py), so that a phone
# loads them once.
WHITENOISE_IMMUTABLE_FILE_TEST = r"^.+/mamochi_site/paginas\.(css|js)$"

# HTTPS: on in production unless HTTPS_ONLY=false (the embedded stack uses plain HTTP on loopback)
HTTPS_ONLY = flag("HTTPS_ONLY", default=not DEBUG)
SECURE_SSL_REDIRECT = HTTPS_ONLY
# The check looks for SecurityMiddleware by name; mamochi_site.web.middleware.Security extends it.
SILENCED_SYSTEM_CHECKS = ["security.W001"]
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS_ONLY else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS_ONLY
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"

# What a browser may load and do on our pages. Scripts come from our own files only (for the admin
# see middleware.py). Inline styles are allowed because unfold and our charts use them; anything
# that such a style loads must come from our own address. The API's pages for people have none, and
# their policy forbids them (gremio/api/paginas.py).
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

# Logs: one JSON line per request, batch and task in production; LOG_FORMAT=text is for people.
LOG_FORMAT = text("LOG_FORMAT", "text" if DEBUG else "json").strip()
if LOG_FORMAT not in ("json", "text"):
    raise ImproperlyConfigured("LOG_FORMAT must be json or text.")
PERSONAL_DATA = [
    r"(?<![\w.-])(?:\d{1,2}\.\d{3}\.\d{3}|\d{7,8})-[\dkK](?![\w-])",  # a RUT
    r"\bmmc_\w+",  # an API token
]
LOGGING = logs.configure("json" if LOG_FORMAT == "json" else "text", personal_data=PERSONAL_DATA)
# At INFO, django-axes writes four lines per login.
LOGGING["loggers"]["axes"] = {"level": "WARNING"}

# The admin's look. Its palette is the guild's brown: text in it has a contrast of 4.5 in light and
# dark, which unfold's own violet does not reach in dark.
UNFOLD = {
    "SITE_TITLE": "MAMOCHI",
    "SITE_HEADER": "MAMOCHI",
    "SITE_SYMBOL": "local_cafe",
    "SITE_URL": "/api/v1/",
    "STYLES": [lambda _request: static("mamochi_site/desk.css")],
    "SCRIPTS": [lambda _request: static("mamochi_site/accessible.js")],
    "DASHBOARD_CALLBACK": "mamochi_site.desk.home.context",
    "SIDEBAR": {"navigation": "mamochi_site.desk.menu.navigation"},
    "COLORS": {
        "primary": {
            "50": "#fdf6ec",
            "100": "#faebd3",
            "200": "#f3d3a4",
            "300": "#e9b66f",
            "400": "#e09a45",
            "500": "#d5832c",
            "600": "#a3541a",
            "700": "#86431a",
            "800": "#6c3717",
            "900": "#592f16",
            "950": "#311608",
        }
    },
}
