"""Texts as people type or paste them: one function that cleans all of them.

Word processors, telephones and chats add characters that cannot be seen, and replace hyphens,
apostrophes and spaces by typographic ones. The API's serializers, the admin's forms and its search
boxes clean a text before they judge it.
"""

import unicodedata
from functools import lru_cache
from typing import Final

# Invisible characters that Unicode does not count as format characters (Cf): joiners, fillers,
# variation selectors, and the blank pattern of Braille.
_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, range(0xFE00, 0xFE10)))
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)
# What keyboards and word processors write for an apostrophe. The grave accent (`) stays: it is
# ASCII, and an e-mail address may have it.
_APOSTROPHES: Final = frozenset(
    "\u00b4\u02b9\u02bb\u02bc\u02bd\u02c8\u02ca\u02cb\u2018\u2019\u201a\u201b\u2032\u2035\uff07"
)
_MINUS: Final = "\u2212"
_LINE_ENDS: Final = frozenset("\n\v\f\x85\u2028\u2029")


def limpiar(texto: str) -> str:
    """Return the text in NFC, without invisible characters, with plain hyphens and apostrophes.

    Line ends become `\\n`, other blank characters a space. Other control characters, which are
    never typed, stay for the rules of the field to refuse. ASCII letters, digits and
    punctuation stay as they are.
    """
    if texto.isascii() and texto.isprintable():
        return texto  # the usual case
    composed = unicodedata.normalize("NFC", texto.replace("\r\n", "\n").replace("\r", "\n"))
    return unicodedata.normalize("NFC", "".join(map(_plain, composed)))


@lru_cache(maxsize=4_096)
def _plain(char: str) -> str:
    """Return what stands for the character in a clean text; empty if it is dropped."""
    if char in _LINE_ENDS:
        return "\n"
    if char.isspace():  # with tabs and Unicode's separators of columns and words
        return " "
    if char in _APOSTROPHES:
        return "'"
    category = unicodedata.category(char)
    if category == "Pd" or char == _MINUS:
        return "-"
    return "" if category == "Cf" or char in _INVISIBLE else char
