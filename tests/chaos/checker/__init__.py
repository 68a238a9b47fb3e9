"""The checker: compare a run's history with its final state, promise by promise.

It knows nothing of the product's code, so that a mistake there cannot hide itself: it imports the
standard library and psycopg (test_checker.py), reads rows with SQL of its own, and adds up money
and ingredients itself. Rules:

    history.py     what clients asked, and the answers: the lines of journal.jsonl
    state.py       what is there at the end: rows and e-mails, kept in state.json
    accounts.py    what follows from both: which wishes took effect, and what they add up to
    sales.py ...   a module per promise: pure functions from history and state to findings

As in Jepsen's checkers of sets and queues, an attempt that was answered 202 must take effect, one
that was refused must not, and one without an answer or with a 5xx may have taken effect or not:
the final state decides.
"""
