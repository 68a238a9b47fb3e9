"""What the tests of enrolment share."""

import pytest
from django.core.cache import cache
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _each_test_has_its_own_count_of_requests() -> None:
    cache.clear()


@pytest.fixture(autouse=True)
def _rules_decide(settings: Settings) -> None:
    settings.REVISION_AUTOMATICA = True


@pytest.fixture
def smtp(settings: Settings) -> None:
    """Mails go to the stack's SMTP sink, where pytest-django would keep them in memory."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
