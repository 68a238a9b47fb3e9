"""E-mails go out over SMTP."""

from typing import Any

import pytest


@pytest.fixture
def smtp(settings: Any) -> None:
    """Use the real backend, in whose place the test runner puts another, without a rate limit."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.CORREOS_POR_SEGUNDO = 0
