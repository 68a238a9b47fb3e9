"""The bookshop's addresses: orders, and the engine's health, metrics and documentation."""

from django.contrib import admin
from django.urls import include, path

from tests.bookshop.orders import views

urlpatterns = [
    path("orders/", views.place_order),
    path("admin/", admin.site.urls),
    path("", include("kafka_bridge.urls")),
]
