"""Celery in the background: the worker's telemetry, and the scheduler of Beat."""
