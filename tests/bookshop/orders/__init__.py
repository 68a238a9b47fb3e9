"""Orders of books."""
