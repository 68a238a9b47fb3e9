"""The enrolment's id verifies itself."""

from datetime import date, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from inscripciones.formulario import ids
from tests.support.people import make_form, make_paid_form

DAY = date(2026, 11, 23)
DAYS = st.dates(date(2020, 1, 1), date(2100, 1, 1))
FORMS = st.fixed_dictionaries({"nombre": st.text(), "rut": st.text(), "paid": st.booleans()})


@given(FORMS, DAYS)
def test_an_id_is_a_uuid8_with_its_lane(form: dict[str, object], day: date) -> None:
    id_ = ids.issue(form, day=day)
    assert (id_.version, ids.lane_of(id_)) == (8, "paid" if form["paid"] else "normal")


@given(FORMS, DAYS)
def test_same_form_same_day_same_id(form: dict[str, object], day: date) -> None:
    reversed_form = dict(reversed(form.items()))
    assert ids.issue(form, day=day) == ids.issue(reversed_form, day=day)
    assert ids.issue(form, day=day) != ids.issue(form, day=day + timedelta(days=1))


@given(FORMS, FORMS)
def test_another_form_is_another_id(one: dict[str, object], other: dict[str, object]) -> None:
    assert (ids.issue(one, day=DAY) == ids.issue(other, day=DAY)) == (one == other)


@given(st.integers(0, 127))
def test_an_id_with_a_changed_bit_is_refused(bit: int) -> None:
    id_ = ids.issue(make_paid_form(rut="1-9", email="a@b.cl"), day=DAY)
    assert ids.lane_of(UUID(int=id_.int ^ 1 << bit)) is None


@given(st.uuids())
def test_any_other_uuid_is_refused(uuid: UUID) -> None:
    assert ids.lane_of(uuid) is None


def test_ids_outlive_a_change_of_key(settings: Settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old", []
    id_ = ids.issue(make_form(), day=DAY)
    settings.SECRET_KEY = "new"
    assert ids.lane_of(id_) is None
    settings.SECRET_KEY_FALLBACKS = ["old"]
    assert ids.lane_of(id_) == "normal"
