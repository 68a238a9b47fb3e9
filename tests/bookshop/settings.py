"""The settings of the bookshop."""

from pathlib import Path

import environ

from kafka_bridge.telemetry import logs

env = environ.Env()

SECRET_KEY = "of-a-bookshop-" + "x" * 40
DEBUG = True
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "kafka_bridge",
    "tests.bookshop.orders",
]
MIDDLEWARE = [
    "kafka_bridge.telemetry.middleware.log_requests",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "tests.bookshop.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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
STATIC_URL = "static/"
DATABASES = {"default": env.db_url("DATABASE_URL")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
LOGGING = logs.configure("text")

KAFKA_BRIDGE = {
    "SOURCE": "bookshop",
    "NAMESPACE": "https://bookshop.example/events",
    "CONTRACTS": Path(__file__).parent / "contracts",
}
KAFKA_CLIENT_CONFIG = {"bootstrap.servers": env.str("KAFKA_BOOTSTRAP_SERVERS")}
