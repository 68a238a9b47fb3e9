"""The search box of people uses indexes, so that it stays quick with a hundred thousand of them."""

from typing import Any

import pytest
from django.db import connection

from inscripciones.admin.search import search_people
from inscripciones.models import Inscripcion, Maestro

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _tables_count_as_large() -> None:
    """Let PostgreSQL read a whole table only if no index serves."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")


@pytest.mark.parametrize("model", [Maestro, Inscripcion])
@pytest.mark.parametrize("text", ["rosa nanez", "temuco", "12.345.678-5", "12.345", "rosa@example.cl", "rosa@"])
def test_each_search_uses_an_index(model: type[Any], text: str) -> None:
    plan = search_people(model.objects.order_by(), text).explain()
    assert "Index Cond" in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("text", ["¿?", "a:* | b", "'", "& !", "ª", "\\"])
def test_signs_are_no_query_language(text: str) -> None:
    assert list(search_people(Maestro.objects.all(), text)) == []
