"""Chunked bodies (`Transfer-Encoding: chunked`), which have no Content-Length.

Django reads a body as far as Content-Length says, so without this it would take such a body for an
empty one, in every view.
"""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.conf import settings

Application = Callable[..., Iterable[bytes]]


def with_length(application: Application) -> Application:
    """Wrap a WSGI application: it gets each chunked body with a Content-Length.

    At most one byte over MAX_BODY_BYTES is read; `limit_body` refuses such a body. A malformed
    chunk raises the server's own error, and the server closes the connection.
    """

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if is_chunked(environ):
            try:
                body = _read(environ["wsgi.input"], settings.MAX_BODY_BYTES + 1)
            except OSError:  # the client has gone and reads no answer
                start_response("400 Bad Request", [])
                return []
            environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return application(environ, start_response)

    return wrapped


def is_chunked(environ: dict[str, Any]) -> bool:
    """Return whether the body is chunked, and the server marks where it ends."""
    coding = environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
    return coding == "chunked" and not environ.get("CONTENT_LENGTH") and environ.get("wsgi.input_terminated", False)


def _read(stream: Any, limit: int) -> bytes:
    """Return up to `limit` bytes; a read may return fewer bytes than asked for."""
    body = bytearray()
    while len(body) < limit and (piece := stream.read(limit - len(body))):
        body += piece
    return bytes(body)
