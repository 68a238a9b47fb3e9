"""Celery in the background: the class of its tasks, the worker's telemetry, Beat's scheduler."""
