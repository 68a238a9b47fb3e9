"""The audit of packages: the real pip-audit, with a local vulnerability service and with none."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scripts import audit

LOCKED = "django==5.2.1 --hash=sha256:" + "0" * 64 + "\nsix==1.17.0 --hash=sha256:" + "1" * 64 + "\n"
KNOWN = {
    "id": "GHSA-nada-nada-nada",
    "summary": "Something",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "django"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.2.2"}]}],
        }
    ],
}


class OsvHandler(BaseHTTPRequestHandler):
    """OSV's API with one vulnerable version of one package."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"vulns": [KNOWN]} if asked["package"]["name"] == "django" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Write no log."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", 0), OsvHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1/query"
    monkeypatch.setattr(audit, "COMMAND", (*audit.COMMAND, "--vulnerability-service", "osv", "--osv-url", url))
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _requirements_on_stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    lock = tmp_path / "requirements.txt"
    lock.write_text(LOCKED)
    with lock.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("service")
def test_known_vulnerability_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main() == 1
    expected = "django 5.2.1: GHSA-nada-nada-nada, fixed in 5.2.2\n2 packages audited.\n"
    assert capsys.readouterr().out == expected


@pytest.mark.slow
def test_unreachable_service_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(audit, "COMMAND", (*audit.COMMAND, "--cache-dir", str(tmp_path)))
    assert audit.main() == 0
    assert capsys.readouterr().out.startswith("NOT AUDITED: the vulnerability service does not answer")


def test_index_without_data_is_reported() -> None:
    skipped = [{"name": "six", "skip_reason": "Dependency not found on PyPI"}]
    assert "NOT AUDITED: 1 of 1 packages" in audit.summary(skipped)
    assert audit.lines(skipped) == []


@pytest.mark.slow
def test_failure_of_pip_audit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "COMMAND", (*audit.COMMAND, "--no-such-option"))
    with pytest.raises(RuntimeError, match="no-such-option"):
        audit.main()
