"""What the application's processes have in common, imported once: they are forks (deploy/forks).

Nothing here opens a connection, starts a thread or runs a process's own preparation: forks would
inherit it. So `mamochi_site.asgi` is not imported, whose limits are those of the web.
"""

import os
import sys
from importlib import import_module
from typing import Any, Final

import django
from django.conf import settings
from django.db import connection
from django.urls import get_resolver
from prometheus_client import REGISTRY, values
from prometheus_client.metrics import MetricWrapperBase

from mamochi_site import connections
from mamochi_site.celery import app

# openpyxl and DRF load these where they are installed, as they are for benchmarks and checks.
# Our code uses no function that needs them, and each fork would copy some of their memory.
NOT_LOADED: Final = ("numpy", "PIL", "requests")
modules: dict[str, Any] = sys.modules
modules.update(dict.fromkeys(NOT_LOADED))  # None: an import fails as if it were not installed
django.setup()
# What the commands would import themselves, also later: what one process imports, no other shares.
for name in (
    "billiard.heap",
    "billiard.popen_fork",
    "billiard.sharedctypes",
    "billiard.synchronize",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.events.state",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.strategy",
    "cffi.cparser",
    "django.contrib.sessions.backends.db",
    "django.core.handlers.wsgi",
    "encodings.idna",
    "gunicorn.app.wsgiapp",
    "gunicorn.glogging",
    "gunicorn.instrument.statsd",
    "gunicorn.workers.gasgi",
    "kafka_bridge.management.commands.run_consumer",
    "kafka_bridge.management.commands.run_outbox_relay",
    "kombu.transport.redis",
    "mamochi_site.background.beat",
    "mamochi_site.gunicorn_conf",
    "mamochi_site.web.chunked",
    "mamochi_site.web.sales",
    "mamochi_site.web.threads",
    "multiprocessing.popen_fork",
    "uvloop",
):
    import_module(name)
_ = get_resolver().url_patterns
app.loader.import_default_modules()
app.finalize()
connection.get_connection_params()  # loads psycopg's adapters, and does not connect
for name in NOT_LOADED:
    del modules[name]


def begin() -> None:
    """Read again what each process has for itself: its login in Kafka, and where metrics count."""
    # `import_default_modules` has made Django's checks above. They look at all models, URLs and
    # templates, so that each fork would copy 5 to 10 MB; and Celery ignores what they find.
    os.environ["CELERY_SKIP_CHECKS"] = "1"
    settings.KAFKA_CLIENT_CONFIG = connections.kafka_client(settings.KAFKA_BOOTSTRAP_SERVERS)
    _count_in_files()


def _count_in_files() -> None:
    """Let the metrics count in the files of PROMETHEUS_MULTIPROC_DIR, where a process has one.

    prometheus_client chooses when it is imported, before the processes part.
    """
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return
    values.ValueClass = values.get_value_class()
    for metric in set(REGISTRY._collector_to_names):
        if isinstance(metric, MetricWrapperBase):
            for each in (metric, *getattr(metric, "_metrics", {}).values()):
                if each._is_observable():
                    each._metric_init()
