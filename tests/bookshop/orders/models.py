"""Books on the shelf and the orders for them."""

from typing import ClassVar

from django.db import models


class Book(models.Model):
    """A title that the shop sells."""

    objects: ClassVar[models.Manager["Book"]] = models.Manager()
    isbn = models.CharField(max_length=13, unique=True)

    def __str__(self) -> str:
        return self.isbn


class Order(models.Model):
    """An order, once the warehouse has it; `event_id` makes it unique."""

    objects: ClassVar[models.Manager["Order"]] = models.Manager()
    event_id = models.UUIDField(unique=True)
    book = models.ForeignKey(Book, on_delete=models.PROTECT)
    copies = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.copies} of {self.book}"
