"""The project's wiring: settings, URLs, Celery, middleware.

`local/` runs the system on one machine.
"""

from mamochi_site.celery import app as celery_app

__all__ = ["celery_app"]
