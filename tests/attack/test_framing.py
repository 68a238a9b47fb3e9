"""How a request is framed and addressed: chunked, compressed, without a slash or a type."""

import gzip
import json
import re
import socket
import uuid
from typing import Any

import pytest

from tests.attack.conftest import Target
from tests.attack.wire import HOST, Answer, request_bytes

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
NOTICES = "/api/v1/stock/avisos/"
SALES = "/api/v1/ventas/"
BAD = b'{"insumos": ["no-existe"]}'
SALE = {"producto": "mediano", "cantidad": 1}


def chunked(body: bytes, *, size: int = 7, trailer: bytes = b"") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n"


def post(target: Target, path: str, body: bytes, **headers: Any) -> Answer:
    """Send a request whose body has no Content-Length unless `headers` gives one."""
    given = {"Authorization": f"Bearer {target.token}", "Content_Type": "application/json", **headers}
    raw = request_bytes("POST", path, b"", given)
    if "Content_Length" not in headers:
        raw = raw.replace(b"Content-Length: 0\r\n", b"")
    return target.answer(raw + body)


def post_chunked(target: Target, path: str, body: bytes, **headers: Any) -> Answer:
    return post(target, path, body, Transfer_Encoding="chunked", **headers)


def test_chunked_body_is_read(target: Target) -> None:
    refused = post_chunked(target, NOTICES, chunked(BAD))
    assert (refused.status, list(refused.json())) == (400, ["insumos"])
    sale = {"id": str(uuid.uuid4()), **SALE}
    answer = post_chunked(target, SALES, chunked(json.dumps(sale).encode(), trailer=b"X-Sum: 1\r\n"))
    assert (answer.status, answer.json()) == (202, {"id": sale["id"]})
    assert post_chunked(target, NOTICES, chunked(b"")).status == 202, "an empty notice stays one for everything"


def test_chunked_forms_are_read(target: Target) -> None:
    """Every view reads them, also those that are not of the API: here a login form's CSRF token."""
    page = target.call("GET", "/admin/login/", Accept="text/html")
    [cookie] = re.findall(r"csrftoken=(\w+)", page.headers["set-cookie"])
    headers = {
        "Content_Type": "application/x-www-form-urlencoded",
        "Cookie": f"csrftoken={cookie}",
        "Authorization": "",
    }
    form = f"csrfmiddlewaretoken={cookie}&username=nadie&password=x".encode()
    assert post_chunked(target, "/admin/login/", chunked(form), **headers).status == 200
    assert post_chunked(target, "/admin/login/", chunked(b"username=nadie"), **headers).status == 403


def test_chunked_body_has_the_same_limit(target: Target) -> None:
    answer = post_chunked(target, SALES, chunked(b" " * 1_000_001, size=50_000))
    assert (answer.status, "1000000 bytes" in answer.json()["detail"]) == (413, True)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"zz\r\n{}\r\n0\r\n\r\n", {}),
        (b"5\r\n{}\r\n0\r\n\r\n", {}),
        (b"1\r\n{}\r\n0\r\n\r\n", {}),
        (b"-2\r\n{}\r\n0\r\n\r\n", {}),
        (b"0\r\nbad trailer\r\n\r\n", {}),
        (chunked(b"{}"), {"Content_Length": "2"}),
    ],
    ids=["no_number", "too_long", "too_short", "negative", "bad_trailer", "with_length"],
)
def test_bytes_behind_a_bad_chunk_are_no_request(target: Target, body: bytes, headers: dict[str, str]) -> None:
    """The connection closes after one refusal: what follows on it is never read as a request."""
    given = {
        "Authorization": f"Bearer {target.token}",
        "Content-Type": "application/json",
        "Transfer-Encoding": "chunked",
        "Connection": "keep-alive",
        **headers,
    }
    raw = request_bytes("POST", NOTICES, b"", given)
    if not headers:
        raw = raw.replace(b"Content-Length: 0\r\n", b"")
    smuggled = request_bytes("GET", "/health/live")
    with socket.create_connection((HOST, target.port), timeout=20) as connection:
        connection.sendall(raw + body + smuggled)
        connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) in ([b"400"], []), answers


def test_compressed_body_is_refused(target: Target) -> None:
    packed = gzip.compress(json.dumps(SALE).encode())
    answer = post(target, SALES, packed, Content_Encoding="gzip", Content_Length=str(len(packed)))
    assert (answer.status, "sin comprimir" in answer.json()["detail"]) == (415, True)
    assert post_chunked(target, NOTICES, chunked(packed), Content_Encoding="gzip").status == 415
    stacked = post(target, NOTICES, chunked(packed), Transfer_Encoding="gzip, chunked")
    assert stacked.status == 411


def test_json_without_its_type_is_refused(target: Target) -> None:
    for kind in ("application/x-www-form-urlencoded", ""):
        answer = post(target, NOTICES, BAD, Content_Type=kind, Content_Length=str(len(BAD)))
        assert answer.status == 415, (kind, answer)
        assert answer.json()["detail"]


@pytest.mark.parametrize("body", [BAD, b"hola", b"--other\r\n\r\n--other--\r\n"])
def test_form_without_its_parts_is_refused(target: Target, body: bytes) -> None:
    """As clients send it that set the type of a form, and another body or boundary."""
    kind = "multipart/form-data; boundary=abc"
    for path in (NOTICES, SALES, "/api/v1/inscripciones/"):
        answer = post(target, path, body, Content_Type=kind, Content_Length=str(len(body)))
        assert answer.status == (415 if body == BAD else 400), (path, answer)
        assert "detail" in answer.json(), path


def test_notice_in_the_address_is_refused(target: Target) -> None:
    for query in ("insumos=mote", "insumo=mote"):
        answer = post(target, f"{NOTICES}?{query}", b"", Content_Length="0")
        assert (answer.status, list(answer.json())) == (400, [query.partition("=")[0]])
    assert post(target, f"{NOTICES}?format=json", b"", Content_Length="0").status == 202


def test_misspelled_fields_are_refused(target: Target) -> None:
    """`vendido_en` would be a sale of now at today's price, and `ID` no protection of a retry."""
    for path, body in (
        (SALES, {**SALE, "vendido_en": "2026-11-20T12:00:00-03:00"}),
        (SALES, {**SALE, "ID": str(uuid.uuid4())}),
        ("/api/v1/inscripciones/", {"pagada": True}),
    ):
        [name] = body.keys() - SALE.keys()
        raw = json.dumps(body).encode()
        answer = post(target, path, raw, Content_Length=str(len(raw)))
        assert (answer.status, list(answer.json())) == (400, [name])
        assert "los que van son" in answer.json()[name][0]
    raw = json.dumps([SALE, {**SALE, "fecha": 1}]).encode()
    answer = post(target, SALES, raw, Content_Length=str(len(raw)))
    assert [sorted(error) for error in answer.json()["errores"]] == [["fecha", "indice"]]


def test_misspelled_field_is_no_notice_for_everything(target: Target) -> None:
    answer = post(target, NOTICES, b'{"insumo": ["mote"]}', Content_Length="20")
    assert (answer.status, list(answer.json())) == (400, ["insumo"])


def test_expecting_client_is_told_to_continue(target: Target) -> None:
    body = json.dumps(SALE).encode()
    given = {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json", "Expect": "100-continue"}
    head = request_bytes("POST", SALES, b"", {**given, "Content-Length": str(len(body))})
    with socket.create_connection((HOST, target.port), timeout=20) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert b" 202 " in b"".join(iter(lambda: connection.recv(65_536), b"")).splitlines()[0]


ADDRESSES = [
    *("", "inscripciones/", "ventas/", "ventas/resumen/", f"ventas/{uuid.UUID(int=1)}/", "productos/", "stock/"),
    *(f"ventas/{uuid.UUID(int=1)}/anular/", "stock/avisos/", "stock/movimientos/", "tokens/", "entrar/", "salir/"),
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "OPTIONS", "HEAD"])
def test_final_slash_makes_no_difference(target: Target, method: str) -> None:
    """A body that each address refuses, so that the second call finds what the first one found."""
    headers = {"Authorization": f"Bearer {target.token}", "Content_Type": "application/json"}
    others = ["/api/schema/", "/api/docs/", "/api/asyncapi/", "/api/eventos/", "/health/ready", "/metrics"]
    for path in [*(f"/api/v1/{name}" for name in ADDRESSES), *others]:
        other = path[:-1] if path.endswith("/") else f"{path}/"
        answers = [target.call(method, one, b"[1" if method != "GET" else b"", **headers) for one in (path, other)]
        assert answers[0].status == answers[1].status, (method, path)
        assert answers[0].headers.get("location") == answers[1].headers.get("location"), (method, path)
        assert answers[1].status not in (301, 307, 308), (method, path)


def test_sale_without_slash_is_counted(target: Target) -> None:
    body = json.dumps(SALE).encode()
    answer = post(target, f"{SALES[:-1]}?a=1", body, Content_Length=str(len(body)))
    assert answer.status == 202
    assert answer.headers["location"].endswith(f"{SALES}{answer.json()['id']}/")


def test_admin_posts_are_never_redirected_to_a_get(target: Target) -> None:
    for path in ("/admin/login", "/admin/ventas/producto/add", "/"):
        assert target.call("POST", path).status not in (301, 302), path


def test_address_that_is_unknown_stays_404(target: Target) -> None:
    headers: dict[str, Any] = {"Authorization": f"Bearer {target.token}"}
    assert target.call("POST", "/api/v1/nada", **headers).status == 404
    assert target.call("GET", "/health/nada/", **headers).status == 404
