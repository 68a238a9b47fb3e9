"""The warehouse: orders become rows."""

from kafka_bridge.consuming.handlers import handles
from tests.bookshop.orders.events import OrderPlaced
from tests.bookshop.orders.models import Book, Order


@handles(OrderPlaced, consumer="warehouse")
def store_orders(events: list[OrderPlaced]) -> None:
    """Store orders of known books; a second delivery changes nothing."""
    books = {isbn: Book.objects.get(isbn=isbn) for isbn in {event.isbn for event in events}}
    Order.objects.bulk_create(
        [Order(event_id=event.id, book=books[event.isbn], copies=event.copies) for event in events],
        ignore_conflicts=True,
    )
