"""Explain to staff, in their language, why a message could not be applied.

The errors come from `events.codec` and msgspec. A sentence may use the named groups of its pattern.
"""

import re
from typing import Final, NamedTuple

import msgspec
from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from kafka_bridge.models import DeadLetter


class Explanation(NamedTuple):
    """The sentence for errors whose text begins with `pattern`."""

    pattern: str
    sentence: Promise


MESSAGE_PROBLEMS: Final = (
    Explanation(
        r"not JSON",
        _("The content is not valid JSON in UTF-8."),
    ),
    Explanation(
        r"the header ce_type is missing",
        _("The header ce_type, which names the type of the event, is missing."),
    ),
    Explanation(
        r"no event is declared with the type (?P<type>.+)",
        _("The event type %(type)s is not declared in this version of the system."),
    ),
    Explanation(
        r"the name of a header is not UTF-8",
        _("The name of a header is not UTF-8."),
    ),
    Explanation(
        r"the timestamp (?P<ms>-?\d+) \(ms since 1970\) lies outside of the years (?P<first>\d+) to (?P<last>\d+)",
        _(
            "The message's timestamp, %(ms)s milliseconds since 1970, lies outside of the years %(first)s to %(last)s. "
            "Its sender has a wrong clock or unit. If the content is right, replay it unchanged."
        ),
    ),
    Explanation(
        r"the content has (?P<size>\d+) bytes, more than (?P<limit>\d+)",
        _("The content has %(size)s bytes. More than %(limit)s are not read."),
    ),
    Explanation(
        r"the client cannot read (?P<count>\d+) messages from offset (?P<first>\d+) to (?P<last>\d+): "
        r"_?(?P<error>\w+)",
        _(
            "Kafka's client cannot unpack the batch with the offsets %(first)s to %(last)s (%(error)s): it is damaged, "
            "unpacks to too many bytes, or is compressed in an unknown way."
        ),
    ),
    Explanation(
        r"the header (?P<header>\w+) names no consumer",
        _("The header %(header)s does not name a consumer."),
    ),
)

# Each sentence continues `"field": `.
FIELD_PROBLEMS: Final = (
    Explanation(
        r"Object missing required field `(?P<field>\w+)`",
        _("this required field is missing"),
    ),
    Explanation(
        r"Invalid UUID",
        _("not a UUID"),
    ),
    Explanation(
        r"Invalid RFC3339 encoded datetime",
        _("not an RFC 3339 date and time with an offset, such as 2026-11-23T15:04:05-03:00"),
    ),
    Explanation(
        r"Expected `datetime` with a timezone component",
        _("the UTC offset is missing, as in 2026-11-23T15:04:05-03:00"),
    ),
    Explanation(
        r"Expected `datetime` of (?P<first>\d+) to (?P<last>\d+)",
        _("outside of the years %(first)s to %(last)s"),
    ),
    Explanation(
        r"(Integer value|Number) out of range",
        _("the number is too large"),
    ),
    Explanation(
        r"Invalid enum value",
        _("not one of the allowed values"),
    ),
    Explanation(
        r"Expected `\w+` of length (?P<limit>[<>]=? \d+)",
        _("the length must be %(limit)s"),
    ),
    Explanation(
        r"Expected `str` matching regex",
        _("not in the expected form"),
    ),
    Explanation(
        r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`",
        _("expected %(wanted)s, received %(given)s"),
    ),
    Explanation(
        r"Expected `(?P<wanted>[^`]+)` (?P<limit>[<>]=? [-\d.]+)",
        _("expected %(wanted)s %(limit)s"),
    ),
)

# Names of types in msgspec's errors, as they stand in a sentence.
TYPE_NAMES: Final = {
    "int": _("an integer"),
    "float": _("a number"),
    "str": _("a text"),
    "bool": _("true or false"),
    "array": _("a list"),
    "object": _("an object"),
    "null": "null",
    "uuid": _("a UUID"),
    "datetime": _("a date and time"),
}


def why(letter: DeadLetter) -> str:
    """Return the reason of a dead letter for people.

    It is an explanation of what is wrong with the message or, if the handler failed, the exception
    and where it was raised.
    """
    first_line = letter.error.split("\n")[0]
    if letter.reason == DeadLetter.Reason.HANDLER:
        return first_line
    return explain(first_line.removeprefix("Undecodable: "))


def explain(error: str) -> str:
    """Return the explanation of an Undecodable error; the error itself if no pattern fits."""
    for pattern, sentence in MESSAGE_PROBLEMS:
        if match := re.match(pattern, error):
            return str(sentence) % match.groupdict()
    problem, _at, place = error.partition(" - at ")
    for pattern, sentence in FIELD_PROBLEMS:
        if match := re.match(pattern, problem):
            values = match.groupdict()
            field = _path(place, values.get("field")) or gettext("the whole content")
            in_words = {name: _type_in_words(value) for name, value in values.items()}
            return gettext('"%(field)s": %(problem)s.') % {"field": field, "problem": str(sentence) % in_words}
    return error


def _path(place: str, missing_field: str | None) -> str:
    """Return the dotted path of a field from msgspec's place in a payload, such as "`$.items`".

    Where the key of a dict is wrong, the place is "`key` in `$.items`". The path of a missing field
    is that of its object followed by its name. Empty for the payload as a whole.
    """
    parent = place.rpartition(" in ")[2].strip("`$").lstrip(".")
    return ".".join(filter(None, [parent, missing_field]))


def _type_in_words(types: str) -> str:
    """Return "int | null" in words. A text that names no type is returned as it is."""
    alternative = pgettext("between alternatives", "or")
    return f" {alternative} ".join(str(TYPE_NAMES.get(name, name)) for name in types.split(" | "))


def syntax_error(text: str) -> str:
    """Return where a JSON text is malformed, by line and column; empty if it is well-formed."""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        found = re.search(r"\(byte (\d+)\)", str(error))
        before = text.encode()[: int(found[1])].decode(errors="ignore") if found else text
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        position = {"line": line, "column": column}
        return gettext("The JSON is malformed in line %(line)d, column %(column)d.") % position
    except RecursionError:
        return gettext("The JSON is nested too deeply.")
    return ""
