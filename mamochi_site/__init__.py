"""The project's wiring: settings, URLs, Celery, middleware.

`local/` runs the system on one machine.
"""
