"""Authentication by a maestro's token in the Authorization header."""

from typing import Any

from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed


class TokenDeMaestro(TokenAuthentication):
    """knox's authentication, which answers 401 instead of 500 to a token that is not ASCII text."""

    def authenticate_credentials(self, token: bytes) -> Any:
        """Return the user and the token's row. Raises AuthenticationFailed."""
        if not token.isascii() or b"\x00" in token:
            raise AuthenticationFailed("Token inválido.")
        return super().authenticate_credentials(token)  # type: ignore[no-untyped-call]
