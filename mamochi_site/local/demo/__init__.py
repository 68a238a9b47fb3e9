"""`./dev demo`: play the guild's whole loop live, show it meanwhile, and audit it at the end.

Five simulated maestros are real HTTP clients of the real API (`maestro.py`, `client.py`).
`director.py` plays enrolments, sales and the week's end in order; `scene.py` holds the state,
`observers.py` updates it from Kafka and the mailbox, and `dashboard.py` shows it. `week.py` closes
the week through Celery Beat, and `audit.py` compares what the maestros did with what the system
reports. The package is a program of its own (`python -m mamochi_site.local.demo`), not a management
command, because Django's settings must be read after the stack has chosen its ports.
"""
