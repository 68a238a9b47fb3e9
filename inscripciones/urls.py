"""Routes under /api/v1/."""

from django.contrib.auth.views import LogoutView
from django.urls import include, path
from rest_framework.routers import SimpleRouter

from inscripciones.api import views

app_name = "inscripciones"
router = SimpleRouter(use_regex_path=False)
router.register("inscripciones", views.InscripcionViewSet)

urlpatterns = [
    path("", views.RaizView.as_view(), name="raiz"),
    path("", include(router.urls)),
    path("tokens/", views.TokenViewSet.as_view({"get": "list", "delete": "delete"}), name="token-list"),
    path("tokens/rotar/", views.TokenViewSet.as_view({"post": "rotar"}), name="token-rotar"),
    path("tokens/anular/", views.TokenViewSet.as_view({"post": "anular"}), name="token-anular"),
    path("entrar/", views.EntrarView.as_view(), name="entrar"),
    path("salir/", LogoutView.as_view(), name="salir"),
]
