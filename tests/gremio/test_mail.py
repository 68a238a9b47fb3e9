"""The Message-ID, and what SMTP's errors mean."""

from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPSenderRefused, SMTPServerDisconnected

import pytest
from pytest_django import Settings

from gremio import mail

GREYLISTED = SMTPRecipientsRefused({"a@b.cl": (450, b"4.2.0 <a@b.cl> greylisted")})
NO_SUCH_USER = SMTPRecipientsRefused({"a@b.cl": (550, b"5.1.1 no such user")})
ONE_OF_TWO = SMTPRecipientsRefused({"a@b.cl": (550, b"5.1.1 no such user"), "c@b.cl": (451, b"later")})
WRONG_SENDER = SMTPSenderRefused(553, b"who is a@b.cl?", "a@b.cl")
SPAM = SMTPDataError(554, b"5.7.1 spam")


def test_a_message_id_is_in_our_domain(settings: Settings) -> None:
    settings.DEFAULT_FROM_EMAIL = "MAMOCHI <hola@mamochi.cl>"
    assert mail.message_id("rechazo", 7) == "<rechazo.7@mamochi.cl>"


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (GREYLISTED, "SMTPRecipientsRefused 450 4.2.0"),
        (WRONG_SENDER, "SMTPSenderRefused 553"),
        (SPAM, "SMTPDataError 554 5.7.1"),
        (TimeoutError("timed out"), "TimeoutError"),
    ],
)
def test_a_summary_has_no_text(error: Exception, summary: str) -> None:
    assert mail.summary(error) == summary


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (ONE_OF_TWO, "550 5.1.1 no such user; 451 later"),
        (SPAM, "554 5.7.1 spam"),
        (TimeoutError("timed\x00 out"), "TimeoutError: timed out"),
    ],
)
def test_an_answer_is_the_servers_text(error: Exception, answer: str) -> None:
    assert mail.answer(error) == answer


def test_an_answer_has_a_bounded_length() -> None:
    assert len(mail.answer(SMTPDataError(554, b"x" * 5_000))) == mail.LONGEST_ANSWER


@pytest.mark.parametrize(
    ("error", "codes"),
    [(ONE_OF_TWO, {550, 451}), (SPAM, {554}), (SMTPServerDisconnected("gone"), set())],
)
def test_codes_of_all_answers(error: Exception, codes: set[int]) -> None:
    assert mail.codes(error) == codes


@pytest.mark.parametrize(
    ("error", "recipient", "content"),
    [
        (NO_SUCH_USER, True, False),
        (ValueError("no header"), True, False),
        (SPAM, False, True),
        (GREYLISTED, False, False),
        (ONE_OF_TWO, False, False),
        (WRONG_SENDER, False, False),
        (TimeoutError("timed out"), False, False),
        (SMTPDataError(451, b"later"), False, False),
    ],
)
def test_a_refusal_for_good(error: Exception, recipient: bool, content: bool) -> None:
    assert mail.recipient_is_refused_for_good(error) is recipient
    assert mail.content_is_refused_for_good(error) is content
