"""Number formats of Chile, `1.234,5`. Django's Spanish separates thousands with a space."""

THOUSAND_SEPARATOR = "."
DECIMAL_SEPARATOR = ","
NUMBER_GROUPING = 3
