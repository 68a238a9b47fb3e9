"""A sale as a row, with the columns that an accepted sale has with us."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone


class Sale(models.Model):
    """What a maestro sold."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    seller = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sales")
    product = models.CharField(max_length=20, choices=[(name, name) for name in ("chico", "mediano", "grande")])
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(1_000)])
    price = models.PositiveIntegerField(default=2_000)
    cost = models.PositiveIntegerField(default=610)
    sold_at = models.DateTimeField(default=timezone.now)
    # Written out, because these settings are not those that the type checker reads.
    objects: "ClassVar[models.Manager[Sale]]" = models.Manager()

    class Meta:
        indexes = [models.Index(fields=["seller", "-sold_at"], name="plain_sale_of_seller")]

    def __str__(self) -> str:
        return f"{self.quantity} {self.product}"
