"""A sale asks for token and claim at once; the database alone says whether a token is valid."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone
from knox.crypto import hash_token
from knox.models import AuthToken
from pytest_django import DjangoAssertNumQueries

from inscripciones import credenciales
from inscripciones.api import remembered
from inscripciones.models import Usuario
from kafka_bridge import conf
from kafka_bridge.models import Claim
from kafka_bridge.publishing import claims
from mamochi_site.web.lookup import Lookup, Sent
from tests.mamochi_site.web.sessions import end_sessions
from ventas.catalogo import memoria
from ventas.events import VentaRegistrada

pytestmark = pytest.mark.django_db(transaction=True)
VALID: Final = {"producto": "mediano", "cantidad": 1}


@pytest.fixture(autouse=True, params=[True, False], ids=["prepared", "not prepared"])
def _settings(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> Iterator[None]:
    monkeypatch.setattr(conf, "PREPARED_STATEMENTS", request.param)
    connection.close()  # what is prepared belongs to a session
    memoria.olvidar()
    yield
    connection.close()


@pytest.fixture
def maestro() -> Usuario:
    return Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4())


@pytest.fixture
def token(maestro: Usuario) -> str:
    return credenciales.emitir(maestro)


@pytest.fixture
def lookup(token: str) -> Lookup:
    """Return one that has seen the token so often that its statements are prepared."""
    return that_knows(token)


def that_knows(*tokens: str) -> Lookup:
    lookup = Lookup()
    for _ in range(3):
        assert None not in lookup.events_of([own(token) for token in tokens])
    Claim.objects.all().delete()
    return lookup


def own(token: str, **datos: Any) -> Sent:
    """Return a sale with an id of its own."""
    return Sent(token, {**VALID, "id": str(uuid4()), **datos})


def claimed() -> set[UUID]:
    return set(Claim.objects.values_list("event_id", flat=True))


def ids(events: Sequence[VentaRegistrada | None]) -> set[UUID]:
    return {event.id for event in events if event}


def second_token(maestro: Usuario) -> str:
    """Return a token beside the present one, as knox itself gives them."""
    return str(AuthToken.objects.create(maestro)[1])


def revoked(maestro: Usuario) -> None:
    credenciales.revocar(maestro)


def replaced(maestro: Usuario) -> None:
    credenciales.emitir(maestro)


def expired(maestro: Usuario) -> None:
    AuthToken.objects.filter(user=maestro).update(expiry=timezone.now() - timedelta(seconds=1))


def expired_beside(maestro: Usuario) -> None:
    AuthToken.objects.filter(digest=hash_token(second_token(maestro))).update(expiry=timezone.now())


def inactive(maestro: Usuario) -> None:
    Usuario.objects.filter(pk=maestro.pk).update(is_active=False)


def no_maestro(maestro: Usuario) -> None:
    Usuario.objects.filter(pk=maestro.pk).update(maestro_id=None)


def deleted(maestro: Usuario) -> None:
    maestro.delete()


ENDS: Final = (revoked, replaced, expired, expired_beside, inactive, no_maestro, deleted)


def test_a_sale_whose_token_came_before_takes_one_round_trip(lookup: Lookup, token: str, tmp_path: Path) -> None:
    with (tmp_path / "trace").open("w") as trace:
        connection.connection.pgconn.trace(trace.fileno())
        [event] = lookup.events_of([own(token)])
        connection.connection.pgconn.untrace()
    assert event
    sent = (tmp_path / "trace").read_text()
    assert sent.count("\tQuery\t") + sent.count("\tSync") == 1  # each ends what waits for an answer


def test_queries_of_sales_that_come_together(
    token: str, maestro: Usuario, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    lookup, without_id = Lookup(), Sent(token, VALID)
    memoria.leer()
    with django_assert_num_queries(1):
        assert None not in lookup.events_of([without_id] * 50)
    with django_assert_num_queries(1):
        events = lookup.events_of([own(token) for _ in range(50)])
    assert {event.maestro_id for event in events if event} == {maestro.maestro_id}
    with django_assert_num_queries(2):  # claims of those with an id, and tokens of the others
        assert None not in lookup.events_of([own(token), without_id])
    with django_assert_num_queries(2):
        assert lookup.events_of([own("mmc_unknown"), own(token)])[0] is None
    with django_assert_num_queries(2):
        assert None not in Lookup().events_of([own(token) for _ in range(50)])


@pytest.mark.parametrize("end", ENDS)
def test_a_token_that_ends_is_refused_everywhere_and_leaves_no_claim(
    token: str, maestro: Usuario, end: Callable[[Usuario], None]
) -> None:
    """Two processes remember the token; neither asks the other."""
    processes = [that_knows(token), that_knows(token)]
    end(maestro)
    for lookup in processes:
        assert lookup.events_of([own(token), Sent(token, VALID)]) == [None, None]
    assert claimed() == set()


@pytest.mark.parametrize("count", [1, claims.FEW])
def test_a_token_that_ends_spoils_no_other(token: str, maestro: Usuario, count: int) -> None:
    other = credenciales.emitir(Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4()))
    lookup = that_knows(token, other)
    credenciales.revocar(maestro)
    events = lookup.events_of([own(one) for _ in range(count) for one in (token, other)])
    assert [event is None for event in events] == [True, False] * count
    assert claimed() == ids(events)
    assert len(claimed()) == count


def test_a_voided_token_is_forgotten(
    lookup: Lookup, token: str, maestro: Usuario, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    credenciales.revocar(maestro)
    for queries in (2, 1):
        with django_assert_num_queries(queries):
            lookup.events_of([own(token)])


def test_a_token_of_another_maestro_now(lookup: Lookup, token: str, maestro: Usuario) -> None:
    Usuario.objects.filter(pk=maestro.pk).update(maestro_id=(other := uuid4()))
    events = lookup.events_of([own(token)])
    assert [event and event.maestro_id for event in events] == [other]
    assert claimed() == ids(events)


def test_times_are_read_in_the_present_zone(lookup: Lookup, token: str, maestro: Usuario) -> None:
    Usuario.objects.filter(pk=maestro.pk).update(zona="Asia/Tokyo")
    yesterday = timezone.now().replace(microsecond=0, tzinfo=None) - timedelta(days=1)
    [event] = lookup.events_of([own(token, vendida_en=yesterday.isoformat())])
    assert event
    assert event.vendida_en == yesterday.replace(tzinfo=UTC) - timedelta(hours=9)


def test_a_retry_is_the_same_event(lookup: Lookup, token: str) -> None:
    sale = own(token)
    [first], [again] = lookup.events_of([sale]), lookup.events_of([sale])
    assert first
    assert first == again
    assert lookup.events_of([Sent(token, {**sale.datos, "cantidad": 2})]) == [None]
    assert Claim.objects.get().content["cantidad"] == 1


@pytest.mark.parametrize("is_first", [True, False])
def test_a_valid_token_vouches_for_no_other(token: str, maestro: Usuario, is_first: bool) -> None:
    """Two tokens of one maestro send the same sale at the same moment; one of them is voided."""
    voided = second_token(maestro)
    lookup, sale = that_knows(token, voided), own(token).datos
    AuthToken.objects.filter(digest=hash_token(voided)).delete()
    order = [token, voided] if is_first else [voided, token]
    events = lookup.events_of([Sent(one, sale) for one in order])
    assert [event is not None for event in events] == [one == token for one in order]


def test_the_same_sale_twice_at_one_moment(lookup: Lookup, token: str) -> None:
    sale = own(token)
    first, again = lookup.events_of([sale, sale])
    assert first
    assert first == again


def test_a_database_that_only_reads_takes_sales_that_need_no_claim(lookup: Lookup, token: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")  # the fixture closes this session
    events = lookup.events_of([own(token), Sent(token, VALID)])
    assert [event is None for event in events] == [True, False]


def test_a_connection_that_was_lost_is_replaced(lookup: Lookup, token: str) -> None:
    lost = connection.connection.info.backend_pid
    end_sessions()
    events = lookup.events_of([own(token)])
    assert connection.connection.info.backend_pid != lost
    assert claimed() == ids(events) != set()


def test_memory_is_bounded_and_holds_no_token(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setattr(remembered, "MOST", 2)
    others = [Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4()) for _ in range(3)]
    tokens = [token, *map(credenciales.emitir, others)]
    lookup = that_knows(*tokens)
    assert list(lookup.remembered._found) == [hash_token(one) for one in tokens[-2:]]
