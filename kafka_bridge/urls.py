from django.urls import path

from kafka_bridge import views

urlpatterns = [
    path("health/live", views.live),
    path("health/ready", views.ready),
    path("api/asyncapi/", views.asyncapi_document, name="asyncapi"),
    path("api/eventos/", views.events_page, name="eventos"),
    path("metrics", views.metrics),
]
