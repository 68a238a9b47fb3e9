"""The WSGI application that gunicorn serves: `gunicorn mamochi_site.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

from kafka_bridge.waits import limit_silence
from mamochi_site.web.chunked import with_length

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mamochi_site.settings")

# Seconds per statement. With the 3 s that a new connection may take, this is less than clients
# wait.
STATEMENT_SECONDS = 5.0

application = with_length(get_wsgi_application())
limit_silence(STATEMENT_SECONDS)
