"""The HTTP API of a maestro's own cart."""
