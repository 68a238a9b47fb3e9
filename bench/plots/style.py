"""Colours and lines that print in grey and that colour-blind readers can tell apart."""

from typing import Final

# Okabe and Ito's colours, without yellow, which is too light on paper.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES: Final = ("-", "--", "-.", ":")
MARKERS: Final = ("o", "s", "^", "D")
HATCHES: Final = ("", "//", "\\\\", "..", "xx", "++", "oo")
