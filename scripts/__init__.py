"""Small programs for developers and for the checks."""
