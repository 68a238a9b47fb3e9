"""Every list and every page of this app opens."""

import pytest
from django.apps import apps
from django.test import Client

from tests.support.people import make_form, make_paid_form, register

pytestmark = pytest.mark.django_db


def test_every_page_opens(admin_client: Client) -> None:
    register(make_form(), make_paid_form(), make_form(nombre="Rosa"))
    for model in ("inscripcion", "comprobante", "maestro", "envio", "usuario"):
        url = f"/admin/inscripciones/{model}/"
        assert admin_client.get(url, {"q": "rosa"}).status_code == 200
        row = apps.get_model("inscripciones", model).objects.first()
        assert admin_client.get(f"{url}{row.pk}/change/").status_code == 200
    assert admin_client.get("/admin/auth/group/").status_code == 200


@pytest.mark.parametrize("typed", ["trx-7001", "TRX 7001", "\u202aTRX–7001\u202c", "7001"])
def test_a_receipt_is_found_as_it_is_copied(admin_client: Client, typed: str) -> None:
    register(make_paid_form(comprobante_pago="TRX-7001"), make_paid_form())
    listed = admin_client.get("/admin/inscripciones/comprobante/", {"q": typed}).context["cl"].result_list
    assert [one.codigo for one in listed] == ["TRX7001"]
