"""All promises together."""

from pathlib import Path
from typing import Final

from tests.chaos.checker import carts, enrolments, history, reads, sales, state, weeks
from tests.chaos.checker.accounts import Accounts
from tests.chaos.checker.findings import Finding
from tests.chaos.checker.history import History
from tests.chaos.checker.state import FinalState

JOURNAL: Final = "journal.jsonl"
STATE: Final = "state.json"
CHECKS: Final = (sales.check, enrolments.check, weeks.check, carts.check, reads.check)


def findings(of_history: History, of_state: FinalState) -> list[Finding]:
    """Return every broken promise that the history and the final state show."""
    accounts = Accounts(of_history, of_state)
    return [finding for check in CHECKS for finding in check(accounts)]


def check_folder(folder: Path) -> list[Finding]:
    """Return the findings of the run that left its journal and its final state in the folder."""
    return findings(history.read(folder / JOURNAL), state.read(folder / STATE))
