"""The people of the demo."""

import random

from inscripciones.formulario import normalizacion
from mamochi_site.local.demo.people import Persona, gather


def five_people() -> list[Persona]:
    return gather(5, 2, random.Random(7))


def test_two_of_five_have_paid() -> None:
    assert [person.paid for person in five_people()].count(True) == 2


def test_people_pass_the_guilds_rules() -> None:
    for person in five_people():
        assert normalizacion.rut(person.rut)
        assert normalizacion.telefono(person.telefono)
        assert normalizacion.comuna(person.comuna) == person.comuna
        assert normalizacion.nombre(person.nombre) == person.nombre


def test_seed_repeats_the_people() -> None:
    assert five_people() == five_people()
