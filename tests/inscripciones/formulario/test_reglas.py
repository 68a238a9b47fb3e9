"""The rules, one by one and together, without a database."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inscripciones.formulario import normalizacion, reglas
from inscripciones.formulario.reglas import Conocido, Resultado, Veredicto
from inscripciones.models import Inscripcion
from tests.support.people import make_event, make_form, make_paid_form, make_rut

Estado = Inscripcion.Estado
RESULTS = st.lists(st.sampled_from(Resultado))


def not_passed(form: dict[str, Any], conocido: Conocido | None = None) -> dict[str, Resultado]:
    """Return the results of the rules that the form does not pass, by rule."""
    veredictos = reglas.evaluar(make_event(form), conocido or Conocido())
    return {v.regla: v.resultado for v in veredictos if v.resultado != Resultado.PASA}


def test_a_good_form_passes_every_rule() -> None:
    assert not_passed(make_form()) == not_passed(make_paid_form()) == {}


@pytest.mark.parametrize(
    ("regla", "resultado", "fields"),
    [
        ("rut_valido", "infringe", {"rut": "12345678-9"}),
        ("rut_valido", "infringe", {"rut": "12.345.678-5"}),
        ("rut_de_persona", "infringe", {"rut": make_rut(76_086_428)}),
        ("correo_valido", "infringe", {"email": "rosa"}),
        ("comuna_oficial", "infringe", {"comuna": "Macondo"}),
        ("telefono_chileno", "infringe", {"telefono": "+5491112345678"}),
        ("pago_con_comprobante", "infringe", {"paid": True, "comprobante_pago": ""}),
        ("nombre_completo", "duda", {"nombre": "Rosa"}),
        ("correo_permanente", "duda", {"email": "rosa@mailinator.com"}),
    ],
)
def test_rules_on_the_form_alone(regla: str, resultado: str, fields: dict[str, Any]) -> None:
    assert not_passed(make_form(**fields)) == {regla: resultado}


def test_rules_that_compare_with_others() -> None:
    form = make_paid_form()
    otra, clave = Inscripcion(pk=uuid4()), normalizacion.clave_de_comprobante(form["comprobante_pago"])
    assert not_passed(form, Conocido(por_rut={form["rut"]: otra})) == {"identidad_sin_inscribir": "repite"}
    assert not_passed(form, Conocido(por_email={form["email"]: otra})) == {"identidad_sin_inscribir": "repite"}
    assert not_passed(form, Conocido(por_buzon={form["email"]: otra})) == {"buzon_sin_inscribir": "duda"}
    assert not_passed(form, Conocido(comprobantes={clave})) == {"comprobante_sin_uso": "duda"}
    assert not_passed(form, Conocido(rechazados={form["rut"]})) == {"sin_rechazo_previo": "duda"}


@given(RESULTS, st.booleans())
def test_the_gravest_verdict_decides(resultados: list[Resultado], automatica: bool) -> None:
    estado, motivo = reglas.decidir([Veredicto("r", r, "porque sí") for r in resultados], automatica=automatica)
    if Resultado.INFRINGE in resultados:
        assert (estado, bool(motivo)) == (Estado.RECHAZADA, True)
    elif Resultado.REPITE in resultados:
        assert (estado, motivo) == (Estado.REPETIDA, "")
    elif Resultado.DUDA in resultados or not automatica:
        assert (estado, motivo) == (Estado.EN_REVISION, "")
    else:
        assert (estado, motivo) == (Estado.APROBADA, "")


@given(st.text(), st.text(), st.text(), st.text(), st.booleans())
def test_no_form_makes_a_rule_crash(nombre: str, rut: str, email: str, otro: str, paid: bool) -> None:
    form = make_form(nombre=nombre, rut=rut, email=email, telefono=otro, comuna=otro, paid=paid)
    assert len(reglas.evaluar(make_event(form), Conocido())) == len(reglas.REGLAS)
