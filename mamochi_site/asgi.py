"""The ASGI application that gunicorn serves: `gunicorn mamochi_site.asgi:application`."""

import mamochi_site.wsgi  # sets Django up, which the next imports need
from mamochi_site.web.sales import DirectSales
from mamochi_site.web.threads import InThreads

THREADS = 8  # of Django in each process

application = DirectSales(InThreads(mamochi_site.wsgi.application, workers=THREADS))
