"""The URLs of the system; under /api/v1/ each app adds its own."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from mamochi_site.web.views import admin_login

handler400 = "mamochi_site.web.views.bad_request"
handler403 = "mamochi_site.web.views.forbidden"
handler404 = "mamochi_site.web.views.not_found"
handler500 = "mamochi_site.web.views.server_error"
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="inscripciones:raiz", http_method_names=["get", "head", "options"])),
    # Before the admin's own URLs, because this view wraps the admin's login.
    path("admin/login/", admin_login),
    path("admin/", admin.site.urls),
    path("api/v1/", include("inscripciones.urls")),
    path("api/v1/", include("ventas.urls")),
    path("api/v1/", include("stock.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    # Health and metrics, and the documentation of the events.
    path("", include("kafka_bridge.urls")),
]
