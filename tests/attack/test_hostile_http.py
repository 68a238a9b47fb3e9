"""Hostile requests against a real gunicorn: no 5xx, and each refusal has a reason in Spanish."""

import base64
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin

from tests.attack.conftest import Target
from tests.attack.wire import Answer, request_bytes

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
FORM = {
    "nombre": "Rosa Ñáñez Peña",
    "rut": "12.345.678-5",
    "email": "rosa@example.cl",
    "telefono": "+56 9 8765 4321",
    "comuna": "Ñuñoa",
    "paid": True,
    "comprobante_pago": "TRX-000123",
}
SALE = {"producto": "mediano", "cantidad": 1}
API = "/api/v1/"
POSTS: dict[str, dict[str, object]] = {
    f"{API}inscripciones/": FORM,
    f"{API}ventas/": SALE,
    f"{API}stock/avisos/": {"insumos": ["mote"]},
}
ENGLISH = re.compile(
    r"\b(the|is|not|this|invalid|field|required|must|value|bad|request|error|allowed|found|parse)\b", re.I
)

# Values for any field of any type, as JSON text.
VALUES = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "negative": "-1",
    "one_and_a_bit": "1.5",
    "int4": "2147483648",
    "int8": "9223372036854775808",
    "a_thousand_digits": "9" * 1_000,
    "too_many_digits": "9" * 5_000,
    "beyond_floats": "1e999",
    "nan": "NaN",
    "infinity": "-Infinity",
    "nothing": '""',
    "blank": '" \\t\\n "',
    "nul": '"\\u0000"',
    "nul_inside": '"mediano\\u0000"',
    "surrogate": '"\\ud800"',
    "surrogates_reversed": '"\\udc00\\ud800"',
    "right_to_left": '"\\u202emote"',
    "emoji": '"😀"',
    "long": '"' + "a" * 100_000 + '"',
    "markup": '"<script>alert(1)</script>{{ 7*7 }}"',
    "formula": "\"=cmd|' /C calc'!A0\"",
    "header": '"a@b.cl\\r\\nBcc: x@y.cl"',
    "sql": '"\' OR 1=1 --"',
    "first_day": '"0001-01-01T00:00:00Z"',
    "first_day_east": '"0001-01-01T00:00:00+14:00"',
    "last_day": '"9999-12-31T23:59:59Z"',
    "last_day_west": '"9999-12-31T23:59:59-12:00"',
    "naive_first_day": '"0001-01-01T00:00:00"',
    "leap_second": '"2026-12-31T23:59:60Z"',
    "no_such_day": '"2026-02-30T00:00:00Z"',
    "no_such_hour": '"2026-09-06T00:30:00"',
    "list": "[]",
    "list_of_lists": "[[1]]",
    "list_of_surrogates": '["\\ud800"]',
    "list_of_nuls": '["\\u0000"]',
    "list_of_objects": '[{"a": 1}]',
    "object": '{"a": 1}',
    "deep": "[" * 500 + "]" * 500,
}
FIELDS = {
    f"{API}inscripciones/": list(FORM),
    f"{API}ventas/": ["id", "producto", "cantidad", "vendida_en"],
    f"{API}stock/avisos/": ["insumos"],
}

# Whole bodies for any route.
BODIES = {
    "empty": b"",
    "no_json": b"{bad",
    "utf16": json.dumps(SALE).encode("utf-16"),
    "utf16_without_mark": json.dumps(SALE).encode("utf-16-le"),
    "utf32": json.dumps(SALE).encode("utf-32"),
    "latin1": '{"producto": "Ñ"}'.encode("latin-1"),
    "utf8_with_mark": b"\xef\xbb\xbf" + json.dumps(SALE).encode(),
    "overlong_utf8": b'{"producto": "\xc0\x80"}',
    "nul_bytes": b"\x00" * 100,
    "null": b"null",
    "number": b"1",
    "text": b'"a"',
    "true": b"true",
    "nan": b"NaN",
    "empty_list": b"[]",
    "list_of_everything": b'[null, 1, "a", [], {}, true, 1e999]',
    "same_key_twice": b'{"producto": "mediano", "producto": "grande", "cantidad": 1}',
    "deep_lists": b"[" * 100_000,
    "deep_lists_closed": b"[" * 100_000 + b"]" * 100_000,
    "deep_objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep_in_a_field": b'{"producto": ' + b"[" * 50_000 + b"]" * 50_000 + b', "cantidad": 1}',
    "many_keys": json.dumps({str(n): n for n in range(50_000)}).encode(),
    "1001_sales": json.dumps([SALE] * 1_001).encode(),
    "1000_bad_sales": json.dumps([{"producto": "\ud800"}] * 1_000).encode(),
    "almost_a_megabyte": json.dumps({"producto": "a" * 999_000}).encode()[:1_000_000],
    "over_a_megabyte": json.dumps({"producto": "a" * 1_000_000}).encode(),
}
TYPES = {
    "json": "application/json",
    "rot13": "application/json; charset=rot13",
    "zlib": "application/json; charset=zlib",
    "base64": "application/json; charset=base64",
    "idna": "application/json; charset=idna",
    "utf16": "application/json; charset=utf-16",
    "unknown_charset": "application/json; charset=nada",
    "nul_charset": "application/json; charset=\x01",
    "form": "application/x-www-form-urlencoded",
    "form_rot13": "application/x-www-form-urlencoded; charset=rot13",
    "form_utf7": "application/x-www-form-urlencoded; charset=utf-7",
    "multipart": "multipart/form-data; boundary=x",
    "multipart_without_boundary": "multipart/form-data",
    "multipart_bad_boundary": "multipart/form-data; boundary=\xff\xfe",
    "xml": "application/xml",
    "none": "",
    "nonsense": ";;;===,,,",
}


def identified(target: Target, **headers: str) -> dict[str, Any]:
    return {"Authorization": f"Bearer {target.token}", "Content_Type": "application/json", **headers}


def check(target: Target, answer: Answer, what: object) -> None:
    """Demand no 5xx, and for a refusal JSON with a Spanish reason, by field where there is one."""
    assert 0 < answer.status < 500, f"{what}: {answer.status}\n{target.tracebacks()}"
    assert b"Bad Request (400)" not in answer.body, what
    if answer.status >= 400 and answer.status != 406 and answer.is_json:
        told = answer.json()
        assert told, what
        assert not any(map(ENGLISH.search, texts_of(told))), f"{what}: {told}"


def texts_of(told: Any) -> Iterator[str]:
    """Yield the texts of an answer, without the names of fields, which may be the client's."""
    if isinstance(told, str):
        yield told
    elif isinstance(told, dict | list):
        for part in told.values() if isinstance(told, dict) else told:
            yield from texts_of(part)


def bodies_of_a_field(path: str, field: str) -> Iterator[tuple[str, bytes]]:
    for name, value in VALUES.items():
        rest = json.dumps({other: valid for other, valid in POSTS[path].items() if other != field})[1:]
        comma = ", " if rest != "}" else ""
        yield name, f'{{"{field}": {value}{comma}{rest}'.encode()


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, fields in FIELDS.items() for field in fields])
def test_hostile_values(target: Target, path: str, field: str) -> None:
    for name, body in bodies_of_a_field(path, field):
        check(target, target.call("POST", path, body, **identified(target)), (path, field, name))
        page = target.call("POST", path, body, **identified(target, Accept="text/html"))
        check(target, page, (path, field, name, "as a page"))


@pytest.mark.parametrize("path", [*POSTS, f"{API}ventas/{uuid.UUID(int=1)}/anular/", f"{API}tokens/"])
def test_hostile_bodies(target: Target, path: str) -> None:
    method = "PUT" if path.endswith("tokens/") else "POST"
    for kind, content_type in TYPES.items():
        read = kind in ("json", "form", "multipart")  # the others are refused unread: a few bodies are enough
        for name, body in BODIES.items() if read else list(BODIES.items())[:3]:
            headers = identified(target, Content_Type=content_type, Accept="text/html" if len(name) % 2 else "*/*")
            check(target, target.call(method, path, body, **headers), (path, kind, name))


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


NOW = datetime.now(UTC).isoformat()
QUERIES = [
    *[f"desde={value}" for value in ("%00", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59", "2026-13-01", "%ff%fe")],
    *[f"hasta={value}" for value in ("9999-12-31", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B23:59", "١٢")],
    *[f"semana={value}" for value in ("2026-W99", "2999-W52", "2000-W01", "%00", "٢٠٢٦-W01", "2026-W54", "x" * 5_000)],
    *[f"cursor={value}" for value in ("x", "%00", "%ff", "====", "ñ".encode().hex(), "a" * 4_000)],
    *[
        f"cursor={cursor(value)}"
        for value in (
            "p=hola", "p=%00", "p=9999-99-99", "p=0001-01-01T00:00:00%2B23:59", "o=99999999999999999999&p=x",
            "r=1", "r=1&p=", "o=-1", f"{NOW}|{uuid.UUID(int=0)}", "0001-01-01T00:00:00+23:59|" + str(uuid.UUID(int=0)),
            "9999-12-31T23:59:59-23:59|" + str(uuid.UUID(int=0)), "a|b|c", "\x00|\x00",
        )
    ],
    *[f"page_size={value}" for value in ("-1", "0", "1" * 5_000, "x", "٣")],
    *[f"format={value}" for value in ("api", "json", "xml", "%00", "../../etc/passwd")],
    "%00=%00", "&" * 5_000, "=" * 100, "a[b][c]=d", "%", "a=%u0041", "a=1" + "&a=1" * 900,
]  # fmt: skip
READS = [*(f"{API}{name}" for name in ("", "ventas/", "ventas/resumen/", "stock/", "stock/movimientos/"))]
READS += [
    f"{API}stock/avisos/",
    f"{API}productos/",
    f"{API}tokens/",
    f"{API}inscripciones/",
    "/api/schema/",
    "/metrics",
]


@pytest.mark.parametrize("path", READS)
def test_hostile_queries(target: Target, path: str) -> None:
    for query in QUERIES:
        raw = request_bytes("GET", f"{path}?{query}".encode().decode("latin-1"), b"", identified(target))
        check(target, target.answer(raw), (path, query[:80]))


PATHS = ["%00", "%ff", "..%2f..%2fetc%2fpasswd", "a" * 3_000, "%u0000", "ventas/%00/", "ventas//", "inscripciones/%00/"]
PATHS += [f"inscripciones/{uuid.UUID(int=0)}/", f"ventas/{uuid.UUID(int=2**128 - 1)}/", "ventas/\xff/", "%c0%ae%c0%ae/"]


@pytest.mark.parametrize("path", PATHS)
def test_hostile_paths(target: Target, path: str) -> None:
    for prefix in (API, "/", "/admin/", "/static/"):
        for accept in ("*/*", "text/html"):
            answer = target.call("GET", prefix + path, **identified(target, Accept=accept))
            check(target, answer, (prefix, path[:80]))


HEADERS = {
    "token_not_utf8": {"Authorization": "Bearer \xff\xfe"},
    "token_empty": {"Authorization": "Bearer "},
    "token_of_three_words": {"Authorization": "Bearer a b"},
    "token_long": {"Authorization": "Bearer mmc_" + "a" * 6_000},
    "token_with_percent": {"Authorization": "Bearer mmc_%00"},
    "basic": {"Authorization": "Basic " + base64.b64encode(b"a:\x00").decode()},
    "key_long": {"Idempotency_Key": "k" * 5_000},
    "key_latin1": {"Idempotency_Key": "\xf1\xff"},
    "session_nul": {"Cookie": 'sessionid="\\000\\000\\000\\000\\000\\000\\000\\000\\000"', "Authorization": ""},
    "session_latin1": {"Cookie": "sessionid=\xff\xff\xff\xff\xff\xff\xff\xff\xff", "Authorization": ""},
    "session_long": {"Cookie": "sessionid=" + "a" * 5_000, "Authorization": ""},
    "csrf_nul": {"Cookie": 'csrftoken="\\000"; messages="\\000"', "Authorization": ""},
    "cookies": {"Cookie": "; ".join(f"c{n}=1" for n in range(500))},
    "accept_nonsense": {"Accept": ";;;,,,/*/"},
    "accept_none_of_ours": {"Accept": "image/png"},
    "accept_indent": {"Accept": "application/json; indent=99999999999999999999"},
    "language": {"Accept_Language": "x" * 5_000},
    "override": {"X_HTTP_Method_Override": "DELETE"},
    "host_other": {"Host": "evil.example"},
    "host_nonsense": {"Host": "127.0.0.1:99999999"},
    "host_empty": {"Host": ""},
    "forwarded": {
        "X_Forwarded_For": "1.2.3.4, \xff",
        "X_Forwarded_Proto": "gopher",
        "X_Forwarded_Host": "evil.example",
    },
    "traceparent": {"Traceparent": "00-" + "z" * 3_000},
    "range": {"Range": "bytes=5-1,-9999999999999999999"},
    "since": {"If_Modified_Since": "Mon, 99 Foo 99999 99:99:99 GMT", "If_None_Match": '"' * 99},
}


@pytest.mark.parametrize("name", HEADERS)
def test_hostile_headers(target: Target, name: str) -> None:
    for path in (*READS, "/", "/health/ready", "/admin/", "/api/v1/entrar/", "/static/admin/css/base.css"):
        check(target, target.call("GET", path, **identified(target, **HEADERS[name])), (path, name))
    for path, body in POSTS.items():
        headers = identified(target, **HEADERS[name])
        check(target, target.call("POST", path, json.dumps(body).encode(), **headers), (path, name))


def test_hostile_login_forms(target: Target) -> None:
    for path in ("/api/v1/entrar/", "/admin/login/"):
        page = target.call("GET", path, Accept="text/html")
        [cookie] = re.findall(r"csrftoken=(\w+)", page.headers["set-cookie"])
        for value in ("%00", "%ff%fe", "a" * 10_000, "%ed%a0%80", "=HYPERLINK(1)"):
            fields = (
                ("csrfmiddlewaretoken", cookie),
                ("token", value),
                ("username", value),
                ("password", value),
                ("next", value),
            )
            body = "&".join(f"{name}={text}" for name, text in fields).encode()
            headers: dict[str, Any] = {
                "Content_Type": "application/x-www-form-urlencoded",
                "Cookie": f"csrftoken={cookie}",
            }
            check(target, target.call("POST", path, body, **headers), (path, value[:20]))


# Malformed HTTP: gunicorn answers these, or closes the connection.

HOST_LINE = b"Host: 127.0.0.1\r\n"
SALES = b"POST /api/v1/ventas/ HTTP/1.1\r\n" + HOST_LINE
RAW = {
    "length_negative": SALES + b"Content-Length: -1\r\n\r\n",
    "length_no_number": SALES + b"Content-Length: abc\r\n\r\n",
    "length_plus": SALES + b"Content-Length: +2\r\n\r\n{}",
    "length_twice": SALES + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "length_huge": SALES + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "length_unicode": SALES + b"Content-Length: " + b"\xb2\r\n\r\n{}",
    "length_and_chunked": SALES + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked": SALES + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunk_bad_size": SALES + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunk_huge_size": SALES + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + b"{" * 1_100_000,
    "encoding_unknown": SALES + b"Transfer-Encoding: gzip\r\n\r\n{}",
    "header_too_long": SALES + b"X-A: " + b"a" * 20_000 + b"\r\n\r\n",
    "headers_too_many": SALES + b"".join(b"X-%d: a\r\n" % n for n in range(300)) + b"\r\n",
    "header_nul": SALES + b"X-A: a\x00b\r\n\r\n",
    "header_name_nul": SALES + b"X\x00A: a\r\n\r\n",
    "header_without_colon": SALES + b"hello\r\n\r\n",
    "header_folded": SALES + b"X-A: a\r\n b\r\n\r\n",
    "header_underscore": SALES + b"Content_Length: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "line_too_long": b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n" + HOST_LINE + b"\r\n",
    "version_unknown": b"GET / HTTP/9.9\r\n" + HOST_LINE + b"\r\n",
    "method_unknown": b"HACK /api/v1/ventas/ HTTP/1.1\r\nConnection: close\r\n" + HOST_LINE + b"\r\n",
    "method_nonsense": b"\x00\x01 / HTTP/1.1\r\n\r\n",
    "path_absolute": b"GET http://evil.example/api/v1/ HTTP/1.1\r\nConnection: close\r\n" + HOST_LINE + b"\r\n",
    "path_not_absolute": b"GET api/v1 HTTP/1.1\r\nConnection: close\r\n" + HOST_LINE + b"\r\n",
    "path_nul": b"GET /\x00 HTTP/1.1\r\nConnection: close\r\n" + HOST_LINE + b"\r\n",
    "path_high_bytes": b"GET /\xff\xfe HTTP/1.1\r\nConnection: close\r\n" + HOST_LINE + b"\r\n",
    "no_host": b"GET /api/v1/ HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two_hosts": b"GET /api/v1/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n" + HOST_LINE + b"\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50 + b"\r\n\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "noise": bytes(range(256)) * 8 + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_malformed_http(target: Target, name: str) -> None:
    answer = target.answer(RAW[name])
    assert answer.status < 500 or answer.status in (501, 505), f"{answer}\n{target.tracebacks()}"
    assert target.is_well()


# The admin, as a superuser: what staff type and paste.

ODD = [
    "%00",
    "%ff",
    "hola",
    "9" * 30,
    "9999-12-31",
    "0001-01-01",
    "%F0%9F%98%80",
    "a" * 3_000,
    "None",
    "1,2",
    "2026-02-30",
]
LOOKUPS = ["q", "p", "o", "e", "all", "pk__exact", "id__exact", "estado__exact", "recibida_en__gte", "recibida_en__day"]
LOOKUPS += [
    "message_at__gte",
    "vendida_en__year",
    "dia__gte",
    "lunes__gte",
    "nada__exact",
    "_popup",
    "_to_field",
    "_facets",
]


def admin_lists() -> list[str]:
    return sorted(f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry)


@pytest.mark.parametrize("path", admin_lists())
def test_hostile_ids_in_the_admin(target: Target, path: str) -> None:
    ids = ["_00", "%00", "_ff", "hola", "9" * 40, str(uuid.UUID(int=0)), "a" * 2_000, "2026-11-23", "%F0%9F%98%80"]
    for odd in ids:
        check(target, asked_by_root(target, f"{path}{odd}/change/"), (path, odd[:20]))


@pytest.mark.chaos
@pytest.mark.parametrize("path", admin_lists())
def test_hostile_queries_in_the_admin(target: Target, path: str) -> None:
    for query in (f"{lookup}={value}" for lookup in LOOKUPS for value in ODD[:5]):
        check(target, asked_by_root(target, f"{path}?{query}"), (path, query[:80]))


def asked_by_root(target: Target, address: str) -> Answer:
    answer = target.call("GET", address, Cookie=f"sessionid={target.session}", Accept="text/html")
    assert "/admin/login/" not in answer.headers.get("location", ""), "the session no longer worked"
    return answer
