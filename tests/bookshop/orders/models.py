"""Books on the shelf and the orders for them."""

from django.db import models


class Book(models.Model):
    """A title that the shop sells."""

    isbn = models.CharField(max_length=13, unique=True)

    def __str__(self) -> str:
        return self.isbn


class Order(models.Model):
    """An order, once the warehouse has it; `event_id` makes it unique."""

    event_id = models.UUIDField(unique=True)
    book = models.ForeignKey(Book, on_delete=models.PROTECT)
    copies = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.copies} of {self.book}"
