"""Migrations that the version before survives: its processes go on writing meanwhile (ADR 49)."""

from typing import Final

import pytest
from django.conf import settings
from django.db import connection, models
from django.db.migrations import AddField, AlterField, DeleteModel, RemoveField, RenameField, RenameModel
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django_migration_linter import MigrationLinter
from django_migration_linter.sql_analyser.analyser import analyse_sql_statements
from django_migration_linter.sql_analyser.postgresql import PostgresqlAnalyser

OURS: Final = sorted(path.parts[-3] for path in settings.BASE_DIR.glob("*/migrations/0001_initial.py"))
# Migrations that remove what a release no longer uses, and the name of that release.
CONTRACTING: Final[dict[str, str]] = {}


@pytest.mark.django_db
def test_version_before_survives_each_migration(capsys: pytest.CaptureFixture[str]) -> None:
    linter = MigrationLinter(
        str(settings.BASE_DIR),
        no_cache=True,
        include_apps=OURS,
        ignore_initial_migrations=True,
        ignore_name=list(CONTRACTING),
    )
    linter.lint_all_migrations()
    assert not linter.has_errors, capsys.readouterr().out
    assert linter.nb_valid + linter.nb_warnings >= 3, "the seeds at least are looked at"


def errors(operation: Operation) -> set[str]:
    """Return what the linter has against an operation on the accounts, as PostgreSQL gets it."""
    state = MigrationLoader(connection).project_state()
    after = state.clone()
    operation.state_forwards("ventas", after)
    with connection.schema_editor(collect_sql=True) as editor:
        operation.database_forwards("ventas", editor, state, after)
    found, _, _ = analyse_sql_statements(PostgresqlAnalyser, editor.collected_sql, [])
    return {error.code for error in found}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("operation", "code"),
    [
        # The version before reads or writes what is gone, or leaves out what must be there.
        (RemoveField("venta", "producto"), "DROP_COLUMN"),
        (RenameField("venta", "producto", "codigo"), "RENAME_COLUMN"),
        (RenameModel("Venta", "Vendida"), "RENAME_TABLE"),
        (DeleteModel("ReporteSemanal"), "DROP_TABLE"),
        (AddField("venta", "caja", models.CharField(max_length=10, default="")), "NOT_NULL"),
        (AlterField("venta", "producto", models.IntegerField()), "ALTER_COLUMN"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Operation) else "",
)
def test_breaking_migration_is_found(operation: Operation, code: str) -> None:
    assert code in errors(operation)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "field",
    [models.CharField(max_length=10, null=True), models.CharField(max_length=10, db_default="")],
    ids=["nullable", "default of the database"],
)
def test_expanding_migration_is_allowed(field: "models.CharField[str, str]") -> None:
    assert errors(AddField("venta", "caja", field)) == set()
