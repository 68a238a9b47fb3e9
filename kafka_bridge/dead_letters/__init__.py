"""Messages that a consumer could not apply: show, explain, correct, replay or discard them."""
