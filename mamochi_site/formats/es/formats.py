"""Numbers as they are written in Chile, `1.234,5`: Django's Spanish parts thousands by a space."""

THOUSAND_SEPARATOR = "."
DECIMAL_SEPARATOR = ","
NUMBER_GROUPING = 3
