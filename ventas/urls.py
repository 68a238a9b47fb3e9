"""Routes of sales, under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from ventas.api.views import CorreoSemanalView, ProductosView, VentaViewSet

app_name = "ventas"
router = SimpleRouter()
router.register("ventas", VentaViewSet, basename="venta")
urlpatterns = [
    *router.urls,
    path("productos/", ProductosView.as_view(), name="producto-list"),
    path("correo-semanal/<str:firma>/", CorreoSemanalView.as_view(), name="correo-semanal"),
]
