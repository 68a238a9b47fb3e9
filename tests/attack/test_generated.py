"""Requests made from our own OpenAPI document, by the hundred or (marker chaos) by the thousand: none is a server error,
and each refusal is in Spanish.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis.core.result import Ok

from tests.attack.conftest import Target
from tests.attack.test_hostile_http import check
from tests.attack.wire import HOST, Answer

pytestmark = pytest.mark.django_db
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


def strategies(document: dict[str, Any]) -> Iterator[SearchStrategy[Any]]:
    """Of each operation, requests that fit the document and requests that do not."""
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(found, Ok), found
        yield from (found.ok().as_strategy(generation_mode=mode) for mode in MODES)


def send_examples(strategy: SearchStrategy[Any], number: int, target: Target, headers: dict[str, str]) -> int:
    """Sends up to `number` of them and checks each answer; returns how many were sent."""
    sent = 0

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
        nonlocal sent
        sent += 1
        found = case.call(base_url=f"http://{HOST}:{target.port}", headers=headers, timeout=20)
        named = {name.lower(): values[0] for name, values in found.headers.items()}
        check(
            target,
            Answer(found.status_code, named, found.content),
            case.as_curl_command(headers={"Authorization": "…"}),
        )

    with suppress(Unsatisfiable):  # a request without parameters cannot be wrong
        send()
    return sent


@pytest.mark.parametrize("identified", [True, False], ids=["maestro", "anonymous"])
@pytest.mark.parametrize("total", [200, pytest.param(3_000, marks=pytest.mark.chaos)])
def test_no_generated_request_is_a_server_error(target: Target, total: int, identified: bool) -> None:
    document = target.call("GET", "/api/schema/?format=json").json()
    headers = {"Authorization": f"Bearer {target.token}"} if identified else {}
    attacks = list(strategies(document))
    sent = sum(send_examples(strategy, 1 + total // len(attacks), target, headers) for strategy in attacks)
    print(f"{sent} requests")  # noqa: T201 - for the report
    assert sent > total / 2
    assert target.is_well()
