"""Requests generated from our OpenAPI document: no server error, and refusals in Spanish.

Hundreds by default, more than 5,000 with the marker `chaos`.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any
from uuid import UUID

import hypothesis
import pytest
import schemathesis
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis.core.result import Ok

from inscripciones import credenciales
from inscripciones.models import Usuario
from tests.attack.conftest import Target
from tests.attack.test_hostile_http import check
from tests.attack.wire import HOST, Answer

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


def a_new_token(maestro_id: UUID) -> str:
    """Make a token on another connection: the server does not see the test's transaction."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_token_of, maestro_id).result()


def _token_of(maestro_id: UUID) -> str:
    with closing(connection), transaction.atomic():
        return credenciales.emitir(Usuario.objects.get(maestro_id=maestro_id))


def strategies(document: dict[str, Any]) -> Iterator[SearchStrategy[Any]]:
    """Return valid and invalid requests for each operation."""
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(found, Ok), found
        yield from (found.ok().as_strategy(generation_mode=mode) for mode in MODES)


def send_examples(strategy: SearchStrategy[Any], number: int, target: Target, headers: dict[str, str]) -> Counter[int]:
    """Send up to `number` requests and check the answers; return the count of each status."""
    answers = Counter[int]()

    @hypothesis.seed(20261123)
    @hypothesis.settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def send(case: Any) -> None:
        found = case.call(base_url=f"http://{HOST}:{target.port}", headers=headers, timeout=20)
        answers[found.status_code] += 1
        named = {name.lower(): values[0] for name, values in found.headers.items()}
        check(
            target,
            Answer(found.status_code, named, found.content),
            case.as_curl_command(headers={"Authorization": "…"}),
        )

    with suppress(Unsatisfiable):  # a request without parameters has no invalid form
        send()
    return answers


@pytest.mark.parametrize("identified", [True, False], ids=["maestro", "anonymous"])
@pytest.mark.parametrize(
    ("total", "least"), [(200, 150), pytest.param(3_600, 2_500, marks=[pytest.mark.chaos, pytest.mark.minutes(3)])]
)
def test_generated_requests(target: Target, total: int, least: int, identified: bool) -> None:
    """Send at least `least` requests: some strategies run out before their share of `total`."""
    document = target.call("GET", "/api/schema/?format=json").json()
    attacks = list(strategies(document))
    answers = Counter[int]()
    for strategy in attacks:  # each with a new token: some operations revoke the token of the request
        headers = {"Authorization": f"Bearer {a_new_token(target.maestro_id)}"} if identified else {}
        answers += send_examples(strategy, 1 + total // len(attacks), target, headers)
    print(f"{answers.total()} requests: {dict(sorted(answers.items()))}")
    assert answers.total() >= least
    assert answers[400] > 0
    assert (answers[401] < total / 4) == identified, "a token worked until its strategy's end"
    assert target.is_well()
