"""The consumer `contabilidad` on its real topic."""

from uuid import UUID

import pytest

from deploy.embedded.waiting import wait_until
from kafka_bridge.dead_letters import explain
from kafka_bridge.models import DeadLetter
from kafka_bridge.publishing.producer import publish
from tests.support.consumers import consumer, running
from tests.support.sales import sale
from ventas.models import Venta

SECONDS = 60.0


@pytest.mark.usefixtures("from_the_topics_ends")
def test_a_price_over_int4_accuses_its_sale_only(maestro_id: UUID) -> None:
    """The schema refuses what the column cannot hold, so the ledger's COPY never gets it."""
    good = [sale(maestro_id) for _ in range(300)]
    publish(*good[:170], sale(maestro_id, precio_unitario=2**31), *good[170:])
    with running(consumer("contabilidad", own_group=True)):
        wait_until(lambda: Venta.objects.count() == 300, SECONDS)
    assert set(Venta.objects.values_list("id", flat=True)) == {one.id for one in good}
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.value_bytes) == ("schema", None)
    assert b'"precio_unitario":2147483648' in bytes(letter.value or b"")
    assert explain.why(letter) == "«precio_unitario»: se esperaba un número entero <= 2147483647."
