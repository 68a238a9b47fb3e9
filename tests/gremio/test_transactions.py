"""A function that needs its caller's transaction says so."""

import pytest
from django.db import transaction

from gremio.transactions import TransactionRequired, transaction_required


@transaction_required
def double(number: int) -> int:
    return 2 * number


@pytest.mark.django_db(transaction=True)
def test_without_a_transaction_it_raises() -> None:
    with pytest.raises(TransactionRequired, match=r"tests\.gremio\.test_transactions\.double must run inside"):
        double(1)


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_it_runs() -> None:
    with transaction.atomic():
        assert double(1) == 2


@pytest.mark.django_db
def test_a_tests_own_transaction_counts() -> None:
    assert double(1) == 2
