"""The test database's sessions, ended from outside."""

import psycopg
from django.db import connection


def end_sessions() -> None:
    """End all sessions of the test database, as a server that restarts."""
    settings = connection.settings_dict
    with psycopg.connect(connection.connection.info.dsn, password=settings["PASSWORD"]) as outside:
        outside.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid != pg_backend_pid() AND backend_type = 'client backend'"
        )
