"""What every request passes: chunked bodies, middleware, and the pages of errors."""
