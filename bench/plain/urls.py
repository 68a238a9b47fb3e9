"""The peer's API: one ModelViewSet."""

from typing import Any

from django.db.models import QuerySet
from django.urls import include, path
from rest_framework import serializers, viewsets
from rest_framework.routers import DefaultRouter

from bench.plain.models import Sale


class SaleSerializer(serializers.ModelSerializer[Sale]):
    """All that a client sends and reads."""

    class Meta:
        model = Sale
        fields = ["id", "product", "quantity", "price", "cost", "sold_at"]
        read_only_fields = ["price", "cost"]


class SaleViewSet(viewsets.ModelViewSet[Sale]):
    """A seller's own sales."""

    serializer_class = SaleSerializer

    def get_queryset(self) -> QuerySet[Sale]:
        return Sale.objects.filter(seller=self.request.user.pk)

    def perform_create(self, serializer: Any) -> None:
        serializer.save(seller=self.request.user)


router = DefaultRouter()
router.register("sales", SaleViewSet, basename="sale")
urlpatterns = [path("", include(router.urls))]
