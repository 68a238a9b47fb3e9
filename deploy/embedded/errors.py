"""What the embedded stack says when it cannot go on."""


class StackError(Exception):
    """A prerequisite is missing or a part failed; `str(error)` is one sentence with the remedy.

    Mend it by doing what the sentence says. Commands print it and exit 1, without a traceback.
    """
