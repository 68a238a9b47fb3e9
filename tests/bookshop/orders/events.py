"""The bookshop's events."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from kafka_bridge.events import Event, Text, Topic

ORDERS = Topic(name="bookshop.orders", partitions=2)


class OrderPlaced(Event, frozen=True):
    """A customer has ordered copies of a book."""

    type: ClassVar[str] = "bookshop.orders.order-placed.v1"
    topic: ClassVar[Topic] = ORDERS
    summary: ClassVar[str] = "A customer ordered a book."
    example: ClassVar[Mapping[str, Any]] = {"isbn": "9780140449136", "copies": 2}
    isbn: Annotated[Text, Meta(min_length=10, max_length=13)]
    copies: Annotated[int, Meta(ge=1)]

    @property
    def key(self) -> str:
        return self.isbn
