"""The error of the embedded stack."""


class StackError(Exception):
    """A prerequisite is missing or a part failed; the text is one sentence with the remedy.

    To fix it, do what the sentence says. Commands print the sentence and exit 1, without a
    traceback.
    """
