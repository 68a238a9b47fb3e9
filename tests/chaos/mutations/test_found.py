"""The checker finds two planted bugs on real servers; `./dev chaos --mutations` runs them all."""

import pytest

from tests.chaos.mutations.__main__ import in_short, run
from tests.chaos.mutations.bugs import SALES_TWICE, VOID_EARNS, Bug

pytestmark = [pytest.mark.chaos, pytest.mark.alone]


@pytest.mark.parametrize("bug", [SALES_TWICE, VOID_EARNS], ids=lambda bug: bug.name)
def test_planted_bug_is_found(bug: Bug) -> None:
    outcome = run(bug.scenario, bug)
    print(in_short(outcome))
    assert outcome.good, in_short(outcome)
