"""What every request passes: the event loop, Django's threads, middleware, pages of errors."""
