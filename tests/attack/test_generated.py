"""Requests made from our own OpenAPI document, by the hundred or (marker chaos) 5,000 and more: none is a server error, and
each refusal is in Spanish.
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

pytestmark = pytest.mark.django_db
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


def a_new_token(maestro_id: UUID) -> str:
    """Made on a connection of its own: what a test writes in its transaction, no server sees."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_token_of, maestro_id).result()


def _token_of(maestro_id: UUID) -> str:
    with closing(connection), transaction.atomic():
        return credenciales.emitir(Usuario.objects.get(maestro_id=maestro_id))


def strategies(document: dict[str, Any]) -> Iterator[SearchStrategy[Any]]:
    """Of each operation, requests that fit the document and requests that do not."""
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(found, Ok), found
        yield from (found.ok().as_strategy(generation_mode=mode) for mode in MODES)


def send_examples(strategy: SearchStrategy[Any], number: int, target: Target, headers: dict[str, str]) -> Counter[int]:
    """Sends up to `number` of them and checks each answer; returns how many were answered with which status."""
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

    with suppress(Unsatisfiable):  # a request without parameters cannot be wrong
        send()
    return answers


@pytest.mark.parametrize("identified", [True, False], ids=["maestro", "anonymous"])
@pytest.mark.parametrize(("total", "least"), [(200, 150), pytest.param(3_000, 2_500, marks=pytest.mark.chaos)])
def test_no_generated_request_is_a_server_error(target: Target, total: int, least: int, identified: bool) -> None:
    """Some strategies run out of requests before their share of `total`; `least` were sent."""
    document = target.call("GET", "/api/schema/?format=json").json()
    attacks = list(strategies(document))
    answers = Counter[int]()
    for strategy in attacks:  # each with a new token: some operations void the one they come with
        headers = {"Authorization": f"Bearer {a_new_token(target.maestro_id)}"} if identified else {}
        answers += send_examples(strategy, 1 + total // len(attacks), target, headers)
    print(f"{answers.total()} requests: {dict(sorted(answers.items()))}")  # noqa: T201 - for the report
    assert answers.total() >= least
    assert answers[400] > 0
    assert (answers[401] < total / 4) == identified, "a token worked until its strategy's end"
    assert target.is_well()
