import json
from uuid import UUID

import pytest
from django.test import Client, override_settings

from tests.support.log_lines import Lines, of_event
from tests.support.sandbox import Sandbox

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADER = f"00-{TRACE}-b7ad6b7169203331-01"


def test_a_request_is_one_line_with_its_events(site: Sandbox, lines: Lines, client: Client) -> None:
    client.get("/publish/3/?q=12.345.678-5", headers={"traceparent": HEADER})
    [line] = of_event(lines, "request")
    assert line["route"] == "publish/<int:count>/"
    assert (line["method"], line["status"], line["events"], line["trace_id"]) == ("GET", 200, 3, TRACE)
    assert UUID(line["first"]) != UUID(line["last"])
    assert line["ms"] > 0
    assert "12.345.678-5" not in json.dumps(lines)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_probes_may_use_any_host(client: Client, db: None, kafka: str, path: str) -> None:
    """Probes use a pod's address, or a service's name as in deploy/prometheus."""
    with override_settings(ALLOWED_HOSTS=["mamochi.cl"], SECURE_SSL_REDIRECT=True):
        assert client.get(path, headers={"host": "web:8000"}).status_code == 200
        assert client.get("/api/v1/productos/", headers={"host": "web:8000"}).status_code == 400
