"""The URLs of a maestro's own cart, under /api/v1/."""

from rest_framework.routers import SimpleRouter

from stock.api import views

app_name = "stock"
router = SimpleRouter()
router.register("stock/avisos", views.AvisoViewSet, basename="aviso")
router.register("stock/movimientos", views.MovimientoViewSet, basename="movimiento")
router.register("stock", views.StockViewSet, basename="stock")
urlpatterns = router.urls
