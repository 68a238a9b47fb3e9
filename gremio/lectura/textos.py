"""Texts as people type or paste them: one function that cleans all of them.

Word processors, telephones and chats add characters that cannot be seen, and replace hyphens,
apostrophes and spaces by typographic ones. The API's serializers, the admin's forms and its search
boxes clean a text before they judge it.
"""

import unicodedata
from functools import lru_cache
from typing import Final

# Invisible characters that Unicode does not count as format characters (Cf): joiners, fillers,
# variation selectors, the blank pattern of Braille, and what stands for an image that was copied.
_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc"
    + "".join(map(chr, range(0xFE00, 0xFE10)))
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)
# What keyboards and word processors write for an apostrophe. The grave accent (`) stays: it is
# ASCII, and an e-mail address may have it.
_APOSTROPHES: Final = frozenset(
    "\u00b4\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb\u0384\u055a\u1fbd\u1fbf"
    "\u2018\u2019\u201a\u201b\u2032\u2035\u275b\u275c\ua78b\ua78c\uff07"
)
# Characters that look like a hyphen, but that Unicode does not call dashes (Pd): minus signs,
# bullets, drawn lines.
_DASHES: Final = frozenset("\u02d7\u2043\u207b\u208b\u2212\u23af\u2500\u2501\u2796")
# Letters and digits in another width or font: `３` and `𝟑` are `3`. Ligatures come from PDFs.
_OTHER_SHAPES: Final = ("<wide>", "<font>")
_LIGATURES: Final = frozenset("\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06")
_LINE_ENDS: Final = frozenset("\n\v\f\x85\u2028\u2029")


def limpiar(texto: str) -> str:
    """Return the text in NFC, without invisible characters, with plain hyphens and apostrophes.

    Letters and digits of another width or font become plain ones. Line ends become `\\n`, other
    blank characters a space. Other control characters, which are never typed, stay for the rules of
    the field to refuse. ASCII letters, digits and punctuation stay as they are.
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
    if category == "Pd" or char in _DASHES:
        return "-"
    if char in _LIGATURES or unicodedata.decomposition(char).startswith(_OTHER_SHAPES):
        return unicodedata.normalize("NFKC", char)
    return "" if category == "Cf" or char in _INVISIBLE else char
