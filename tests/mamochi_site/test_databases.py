"""The system on other database servers: an older PostgreSQL, and a pool in front of PostgreSQL."""

from pathlib import Path

import psycopg
import pytest

from deploy.embedded import Stack
from tests.support import other_database

pytestmark = [pytest.mark.chaos, pytest.mark.minutes(4)]


def test_everything_runs_on_an_older_postgresql(stack: Stack, tmp_path: Path) -> None:
    """Migrations, batches and their time limit, COPY, dead letters, the closing and the relay."""
    with other_database.debian_postgres(tmp_path) as url:
        other_database.run_tests(
            url,
            "tests/kafka_bridge/consuming/test_outages.py",
            "tests/kafka_bridge/consuming/test_time_limit.py",
            "tests/kafka_bridge/publishing/test_relay.py",
            "tests/gremio/test_copy.py",
            "tests/ventas/semanas/test_cierre.py",
            "tests/ventas/test_libro.py",
            "tests/inscripciones/tramite/test_recepcion.py",
            "tests/stock/test_reposicion.py",
        )


def test_defaults_of_the_role_change_nothing(stack: Stack, tmp_path: Path) -> None:
    """Such as a cautious administrator sets them, for one role or for all."""
    settings = {"default_transaction_isolation": "serializable", "idle_session_timeout": "5s", "datestyle": "SQL,DMY"}
    with other_database.debian_postgres(tmp_path, **settings) as url:
        other_database.run_tests(
            url,
            "tests/kafka_bridge/consuming/test_runner.py",
            "tests/kafka_bridge/publishing/test_relay.py",
            "tests/ventas/semanas/test_cierre.py",
            "tests/stock/test_concurrency.py",
            "tests/inscripciones/tramite/test_concurrency.py",
        )


def test_a_pool_refuses_prepared_statements(tmp_path: Path) -> None:
    """Where PREPARED_STATEMENTS is true by mistake, pgbouncer says why it accepts no connection."""
    options = "-c plan_cache_mode=force_generic_plan"  # in our settings then
    with other_database.debian_postgres(tmp_path) as url, other_database.pool(tmp_path, url) as pooled:
        psycopg.connect(url, options=options).close()
        psycopg.connect(pooled).close()
        with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
            psycopg.connect(pooled, options=options)


def test_everything_runs_behind_a_pool(stack: Stack, tmp_path: Path) -> None:
    """With pgbouncer's pool_mode=transaction each transaction may get another session."""
    with other_database.debian_postgres(tmp_path) as url, other_database.pool(tmp_path, url) as pooled:
        other_database.run_tests(
            pooled,
            "tests/kafka_bridge/test_prepared.py::test_nothing_is_kept_without_the_setting",
            "tests/kafka_bridge/consuming/test_runner.py",
            "tests/kafka_bridge/dead_letters/test_replay.py",
            "tests/kafka_bridge/publishing/test_relay.py",
            "tests/ventas/semanas/test_mailer.py",
            "tests/ventas/admin/test_lists.py",
            "tests/ventas/admin/test_reportes.py",
            "tests/inscripciones/correos/test_envios.py",
            # These change the session to imitate another server, or are woken by LISTEN, which a
            # pool does not pass on: the relay then finds messages by its poll.
            *("--deselect", "tests/ventas/semanas/test_mailer.py::test_no_transaction_is_open_while_a_mail_is_sent"),
            *(
                "--deselect",
                "tests/inscripciones/correos/test_envios.py::test_no_transaction_is_open_while_a_mail_is_sent",
            ),
            *("--deselect", "tests/kafka_bridge/publishing/test_relay.py::test_a_commit_wakes_the_relay"),
        )
