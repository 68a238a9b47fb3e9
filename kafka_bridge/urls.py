from django.urls import path

from kafka_bridge import views

urlpatterns = [
    path("health/live", views.live),
    path("health/ready", views.ready),
    path("metrics", views.metrics),
]
