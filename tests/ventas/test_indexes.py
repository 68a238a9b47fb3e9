"""The ledger's lists read an index in its order, from its end, and sort nothing but ties."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from tests.support.sales import NOW, W47, enter, sale
from ventas.models import Venta

pytestmark = pytest.mark.django_db


@pytest.fixture
def only_ordered_indexes() -> None:
    """Let the planner of this transaction choose as it does for a large table."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")


def test_a_maestros_list_reads_its_part_of_an_index_from_the_end(maestro_id: UUID, only_ordered_indexes: None) -> None:
    enter(*[sale(maestro_id, vendida_en=NOW - timedelta(minutes=n)) for n in range(20)])
    plan = Venta.objects.filter(maestro_id=maestro_id, vendida_en__lte=NOW).order_by("-vendida_en", "-id")[:5].explain()
    assert "Index Scan Backward using sales_of_a_maestro" in plan
    assert "Index Cond: ((maestro_id = " in plan
    assert "Sort" not in plan


def test_the_ledger_of_a_week_sorts_only_ties(maestro_id: UUID, only_ordered_indexes: None) -> None:
    enter(*[sale(maestro_id, vendida_en=NOW - timedelta(minutes=n)) for n in range(20)])
    plan = Venta.objects.filter(semana_contable=W47).order_by("-vendida_en", "-id")[:5].explain()
    assert "Index Scan Backward using ledger_of_a_week" in plan
    assert "Presorted Key: vendida_en" in plan
