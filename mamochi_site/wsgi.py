"""The WSGI application that gunicorn serves: `gunicorn mamochi_site.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

from mamochi_site.chunked import with_length
from mamochi_site.db_timeout import install_statement_timeout

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mamochi_site.settings")

application = with_length(get_wsgi_application())
install_statement_timeout()
