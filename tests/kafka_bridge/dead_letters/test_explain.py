"""Explanations of errors for staff."""

import pytest

from kafka_bridge.dead_letters import explain
from kafka_bridge.diagnosis import describe
from kafka_bridge.events.codec import decode
from kafka_bridge.exceptions import Undecodable
from kafka_bridge.models import DeadLetter
from tests.support.letters import MakeLetter
from tests.support.sandbox import Sandbox


def refused(make_letter: MakeLetter, headers: dict[str, bytes], value: bytes) -> DeadLetter:
    """Return the dead letter of a message that cannot be decoded."""
    with pytest.raises(Undecodable) as caught:
        decode(headers, value)
    return make_letter(value, reason=caught.value.reason, error=describe(caught.value))


@pytest.mark.parametrize(
    ("headers", "explanation"),
    [
        ({}, "Falta la cabecera ce_type, que dice de qué tipo es el evento."),
        ({"ce_type": b"a.b.v1"}, "El tipo de evento 'a.b.v1' no está declarado en esta versión del sistema."),
    ],
)
def test_an_unknown_type_is_explained(make_letter: MakeLetter, headers: dict[str, bytes], explanation: str) -> None:
    assert explain.why(refused(make_letter, headers, b"{}")) == explanation


@pytest.mark.parametrize(
    ("value", "explanation"),
    [
        (b"\xff", "El contenido no es JSON válido en UTF-8."),
        (b'{"n": "x"}', "«n»: se esperaba un número entero y llegó un texto."),
    ],
)
def test_a_wrong_payload_is_explained(
    consumed: Sandbox, make_letter: MakeLetter, value: bytes, explanation: str
) -> None:
    headers = {"ce_type": consumed.event.type.encode()}
    assert explain.why(refused(make_letter, headers, value)) == explanation


def test_a_handler_error_is_shown_as_it_is(make_letter: MakeLetter) -> None:
    assert explain.why(make_letter(error="IntegrityError 23505 one_sale\nmore")) == "IntegrityError 23505 one_sale"
