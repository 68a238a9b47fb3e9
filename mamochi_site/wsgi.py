"""Django as a WSGI application, which `mamochi_site/asgi.py` serves in threads."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from kafka_bridge.waits import limit_silence
from mamochi_site.web.chunked import with_length
from mamochi_site.web.patience import DATABASE_SECONDS

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mamochi_site.settings")

application = with_length(get_wsgi_application())
limit_silence(DATABASE_SECONDS)


def freeze_what_stays() -> None:
    """Load what the first request would load, and let the garbage collector pass over it all.

    Otherwise each full collection goes through 160,000 objects that stay until the process ends: a
    request in 2,000 then waits for 0.1 s.
    """
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()


freeze_what_stays()
