"""The engine's addresses: health, metrics, and the documentation of the events."""

from django.urls import path
from django.utils.translation import gettext_lazy as _

from kafka_bridge import views

urlpatterns = [
    path("health/live", views.live),
    path("health/ready", views.ready),
    path("metrics", views.metrics),
    path("api/asyncapi/", views.asyncapi_document, name="asyncapi"),
    # The page is read by people, so its address is in the language of the project (LANGUAGE_CODE).
    path(_("api/events/"), views.events, name="events"),
]
