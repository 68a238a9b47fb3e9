"""`./dev demo`: the evaluation scenario played live, shown while it happens, and audited at the end.

Five simulated maestros are real HTTP clients of the real API (`maestro.py`, `client.py`); `director.py` plays the
scenes in order, `dashboard.py` shows them, `week.py` closes the week through Celery Beat and `audit.py` compares what the
maestros did with what the system says. `manage.py demo` runs this package as a program of its own: Django's settings must
be read after the stack has chosen its ports.
"""
