"""Staff edit prices and recipes, never codes."""

from django.test import Client
from django.urls import reverse

from ventas.models import Producto


def test_a_product_is_edited_but_not_its_code(admin_client: Client, catalogue: None) -> None:
    producto = Producto.objects.get(pk="chico")
    receta = list(producto.receta.all())
    form = {
        "nombre": "Chico",
        "precio": "1700",
        "activo": "on",
        "codigo": "otro",
        "receta-TOTAL_FORMS": str(len(receta)),
        "receta-INITIAL_FORMS": str(len(receta)),
        **{f"receta-{n}-id": str(linea.pk) for n, linea in enumerate(receta)},
        **{f"receta-{n}-producto": "chico" for n in range(len(receta))},
        **{f"receta-{n}-insumo": linea.insumo_id for n, linea in enumerate(receta)},
        **{f"receta-{n}-cantidad": "7" for n in range(len(receta))},
    }
    response = admin_client.post(reverse("admin:ventas_producto_change", args=["chico"]), form)
    assert response.status_code == 302, response.content
    assert Producto.objects.get(pk="chico").precio == 1_700
    assert set(producto.receta.values_list("cantidad", flat=True)) == {7}
    assert not Producto.objects.filter(pk="otro").exists()
