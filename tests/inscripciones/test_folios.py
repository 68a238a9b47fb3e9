"""The enrolment's id verifies itself."""

from datetime import date, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from inscripciones import ids
from tests.support.people import formulario, pagado

DIA = date(2026, 11, 23)
DIAS = st.dates(date(2020, 1, 1), date(2100, 1, 1))
FORMULARIOS = st.fixed_dictionaries({"nombre": st.text(), "rut": st.text(), "paid": st.booleans()})


@given(FORMULARIOS, DIAS)
def test_an_issued_id_is_a_uuid8_that_tells_its_lane(campos: dict[str, object], dia: date) -> None:
    folio = ids.emitir(campos, dia=dia)
    assert (folio.version, ids.via(folio)) == (8, "paid" if campos["paid"] else "normal")


@given(FORMULARIOS, DIAS)
def test_the_same_form_on_the_same_day_is_the_same_id(campos: dict[str, object], dia: date) -> None:
    al_reves = dict(reversed(campos.items()))
    assert ids.emitir(campos, dia=dia) == ids.emitir(al_reves, dia=dia)
    assert ids.emitir(campos, dia=dia) != ids.emitir(campos, dia=dia + timedelta(days=1))


@given(FORMULARIOS, FORMULARIOS)
def test_another_form_is_another_id(uno: dict[str, object], otro: dict[str, object]) -> None:
    assert (ids.emitir(uno, dia=DIA) == ids.emitir(otro, dia=DIA)) == (uno == otro)


@given(st.integers(0, 127))
def test_an_id_with_any_bit_changed_was_never_issued(bit: int) -> None:
    folio = ids.emitir(pagado(rut="1-9", email="a@b.cl"), dia=DIA)
    assert ids.via(UUID(int=folio.int ^ 1 << bit)) is None


@given(st.uuids())
def test_a_uuid_of_elsewhere_was_never_issued(uuid: UUID) -> None:
    assert ids.via(uuid) is None


def test_ids_issued_before_a_change_of_key_stay_valid(settings: Settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old", []
    folio = ids.emitir(formulario(), dia=DIA)
    settings.SECRET_KEY = "new"
    assert ids.via(folio) is None
    settings.SECRET_KEY_FALLBACKS = ["old"]
    assert ids.via(folio) == "normal"
