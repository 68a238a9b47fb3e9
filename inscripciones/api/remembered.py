"""Whose tokens came before, so that a sale's claim needs no query of its own before it.

What is remembered is a guess: it is used only together with `authentication.still_valid`, which
asks the database. So a token that is voided ends at once in every process.
"""

from collections.abc import Sequence
from typing import Final

from knox.crypto import hash_token

from inscripciones.api.authentication import Portador, maestros

MOST: Final = 10_000  # tokens of a process, about half a kilobyte each; the oldest is forgotten


class Remembered:
    """Maestros by the digests of their tokens; the tokens themselves are not kept."""

    def __init__(self) -> None:
        self._found: dict[str, Portador] = {}

    def guess(self, token: str) -> Portador | None:
        """Return whose token it was when it was last looked up."""
        return self._found.get(hash_token(token))

    def look_up(self, tokens: Sequence[str]) -> dict[str, Portador]:
        """Return the maestros of valid tokens, by token, and remember them; in one query."""
        found = maestros(tokens)
        for token in tokens:
            self._found.pop(hash_token(token), None)
        for portador in found.values():
            if len(self._found) >= MOST:
                del self._found[next(iter(self._found))]
            self._found[portador.digest] = portador
        return found
