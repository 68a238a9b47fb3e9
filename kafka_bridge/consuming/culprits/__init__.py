"""Finding the messages that make a handler fail, and stopping a consumer that fails too often.

`attempt` runs the handlers on some records, `search` halves the records until it has the culprit,
and `limits` says how many failures are too many.
"""
