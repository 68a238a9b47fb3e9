"""Who sends a token."""

from typing import Any

from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed


class TokenDeMaestro(TokenAuthentication):
    """knox's, for which bytes that are no text are an error of the server's."""

    def authenticate_credentials(self, token: bytes) -> Any:
        """The user and the token's row. Raises AuthenticationFailed."""
        if not token.isascii() or b"\x00" in token:
            raise AuthenticationFailed("Token inválido.")
        return super().authenticate_credentials(token)  # type: ignore[no-untyped-call]
