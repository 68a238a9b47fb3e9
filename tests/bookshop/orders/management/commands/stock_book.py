"""`manage.py stock_book ISBN`: sell a book from now on."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from tests.bookshop.orders.models import Book


class Command(BaseCommand):
    help = "Sells a book from now on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("isbn")

    def handle(self, *args: Any, **options: Any) -> None:
        Book.objects.get_or_create(isbn=options["isbn"])
