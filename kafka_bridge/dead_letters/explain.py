"""TODO."""

import re
from typing import Final

import msgspec

from kafka_bridge.models import DeadLetter

_OF_THE_MESSAGE: Final = (
    (r"not JSON", "El contenido no es JSON válido en UTF-8."),
    (r"the header ce_type is missing", "Falta la cabecera ce_type, que dice de qué tipo es el evento."),
    (r"no event is declared with the type (.+)", "El tipo de evento {} no está declarado en esta versión del sistema."),
    (r"the name of a header is not UTF-8", "El nombre de una cabecera no está en UTF-8."),
    (r"the header (\w+) names no consumer", "La cabecera {} no nombra a ningún consumidor."),
)

_EXPLANATIONS: Final = (
    (r"Object missing required field `(?P<field>\w+)`", "falta este campo obligatorio"),
    (r"Invalid UUID", "no es un UUID"),
    (r"Invalid RFC3339 encoded datetime", "no es una fecha y hora RFC 3339 con huso, como 2026-11-23T15:04:05-03:00"),
    (r"Expected `datetime` with a timezone component", "le falta el huso horario, como en 2026-11-23T15:04:05-03:00"),
    (r"Expected `datetime` of (?P<years>\d+ to \d+)", "está fuera de los años {years}"),
    (r"(Integer value|Number) out of range", "es un número demasiado grande"),
    (r"Invalid enum value", "no es uno de los valores permitidos"),
    (r"Expected `\w+` of length (?P<limit>[<>]=? \d+)", "su largo debe ser {limit}"),
    (r"Expected `str` matching regex", "no tiene la forma esperada"),
    (r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`", "se esperaba {wanted} y llegó {given}"),
    (r"Expected `(?P<wanted>[^`]+)` (?P<limit>[<>]=? [-\d.]+)", "se esperaba {wanted} {limit}"),
)

_TYPE_NAMES: Final = {
    "int": "un número entero",
    "float": "un número",
    "str": "un texto",
    "bool": "true o false",
    "array": "una lista",
    "object": "un objeto",
    "null": "null",
    "uuid": "un UUID",
    "datetime": "una fecha y hora",
}


def why(letter: DeadLetter) -> str:
    """The error for a person: in Spanish, or, where a handler failed, which exception and where."""
    first = letter.error.split("\n")[0]
    return first if letter.reason == DeadLetter.Reason.HANDLER else explain(first.removeprefix("Undecodable: "))


def explain(error: str) -> str:
    """What an Undecodable says, in Spanish, naming the field. msgspec's own words where none of ours fit."""
    for pattern, spanish in _OF_THE_MESSAGE:
        if match := re.match(pattern, error):
            return spanish.format(*match.groups())
    problem, _, place = error.partition(" - at ")
    path = place.rpartition(" in ")[2]  # of "`key` in `$.insumos`" where a dict's key is wrong
    for pattern, spanish in _EXPLANATIONS:
        if match := re.match(pattern, problem):
            found = {name: _in_spanish(text) for name, text in match.groupdict().items()}
            name = ".".join(filter(None, [path.strip("`$").lstrip("."), match.groupdict().get("field")]))
            return f"«{name or 'todo el contenido'}»: {spanish.format(**found)}."
    return error


def _in_spanish(types: str) -> str:
    return " o ".join(_TYPE_NAMES.get(name, name) for name in types.split(" | ")).replace(" to ", " a ")


def syntax_error(text: str) -> str:
    """Where a JSON text is broken, by line and column, for the person who is editing it; empty if it is not."""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        found = re.search(r"\(byte (\d+)\)", str(error))
        before = text.encode()[: int(found[1])].decode(errors="ignore") if found else text
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f"El JSON está mal escrito en la línea {line}, columna {column}."
    except RecursionError:
        return "El JSON está anidado demasiadas veces."
    return ""
